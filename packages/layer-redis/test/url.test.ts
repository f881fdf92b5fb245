import { openLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { parseUrl } from '../src/url.ts';
import { eachCase } from '../../../test/support/each-case.ts';

describe('parseUrl', () => {
  test('what may be said of a Redis', () =>
    eachCase(
      [
        ['redis://h', { kind: 'standalone', nodes: [{ host: 'h', port: 6379 }], credentials: {}, db: 0 }],
        ['redis://h:7000/5', { kind: 'standalone', nodes: [{ host: 'h', port: 7000 }], db: 5 }],
        ['redis://[::1]:7000', { nodes: [{ host: '::1', port: 7000 }] }],
        ['redis://user@h', { credentials: { username: 'user', password: '' } }],
        ['redis://user:@h', { credentials: { username: 'user', password: '' } }],
        ['valkey://h:7000/5', { kind: 'standalone', nodes: [{ host: 'h', port: 7000 }], db: 5 }],
        ['valkeys://h', { kind: 'standalone', tls: {} }],
        ['valkey-sentinel://a/m', { kind: 'sentinel', primary: 'm' }],
        ['valkeys-cluster://a', { kind: 'cluster', tls: {} }],
        ['redis+unix:///run/redis/a%20b.sock?db=1', { kind: 'standalone', nodes: [{ path: '/run/redis/a b.sock' }], db: 1, credentials: {} }],
        ['unix://u:p%40@/s.sock', { nodes: [{ path: '/s.sock' }], credentials: { username: 'u', password: 'p@' }, db: 0 }],
        ['unix:///s.sock?wire=channels-core', { wire: 'channels-core' }],
        ['redis://:p%40ss@h', { credentials: { password: 'p@ss' } }],
        ['redis://u:a:b@h', { credentials: { username: 'u', password: 'a:b' } }],
        ['rediss://h?ca=/a%20b.pem&servername=x', { tls: { ca: '/a b.pem', servername: 'x' } }],
        [
          'redis-sentinel://a,b:1/mymaster',
          {
            kind: 'sentinel',
            primary: 'mymaster',
            nodes: [
              { host: 'a', port: 26379 },
              { host: 'b', port: 1 },
            ],
          },
        ],
        ['redis-sentinel://u:p@a/m?db=2&sentinelPassword=s', { credentials: { username: 'u', password: 'p' }, sentinelCredentials: { password: 's' }, db: 2 }],
        [
          'rediss-cluster://a,b',
          {
            kind: 'cluster',
            nodes: [
              { host: 'a', port: 6379 },
              { host: 'b', port: 6379 },
            ],
            tls: {},
          },
        ],
        ['redis://h?wire=channels-core', { wire: 'channels-core', format: { serializer: 'msgpack', encryptionKeys: [] } }],
        ['redis://h?wire=channels-pubsub&serializer=json&encryptionKeys=a%2Cb,%C3%A9=%26', { format: { serializer: 'json', encryptionKeys: ['a,b', 'é=&'] } }],
        ['redis://h?wire=channels-core&randomPrefixLength=0', { format: { randomPrefixLength: 0 } }],
        [
          'redis://:p@a,b:7,[::1]/2?wire=channels-core',
          {
            kind: 'standalone',
            credentials: { password: 'p' },
            db: 2,
            nodes: [
              { host: 'a', port: 6379 },
              { host: 'b', port: 7 },
              { host: '::1', port: 6379 },
            ],
          },
        ],
      ],
      (url, expected) => {
        expect(parseUrl(url)).toMatchObject(expected);
      },
    ));

  test('what is none is refused, and the error says what is wrong', () =>
    eachCase(
      [
        ['redis:h', 'expected redis://'],
        ['redis://', 'expected redis://'],
        ['redis://a,b', 'several need'],
        ['redis://h:0', '"h:0" is not host[:port]'],
        ['redis://h:70000', 'is not host[:port]'],
        ['rediss://h?cert=/c.pem', 'cert and key go together'],
        ['redis://h/x', 'database "x"'],
        ['redis+unix://h/s.sock', 'expected redis://'],
        ['unix://', 'expected redis://'],
        ['unix:///s.sock?ca=/x', 'must begin with rediss'],
        ['unix:///s.sock?db=x', 'database "x"'],
        ['redis+unixs:///s.sock', 'expected redis://'],
        ['redis://h?db=1&db=2', 'db is there twice'],
        ['redis://h?servername=', 'servername is empty'],
        ['redis://h?what=1', 'there are db, wire'],
        ['redis://h?ca=/x', 'must begin with rediss'],
        ['redis://h?wire=x', 'there are busgate, channels-core'],
        ['redis://a,b?wire=busgate', 'several need'],
        ['redis://a,b,a:6379?wire=channels-core', 'a:6379 is named twice'],
        ['redis://h?encryptionKeys=a', 'encryptionKeys is channels_redis'],
        ['redis://h?wire=channels-core&encryptionKeys=a,,b', 'an empty key'],
        ['redis://h?wire=channels-core&encryptionKeys=', 'an empty key'],
        ['redis://h?wire=channels-core&encryptionKeys=%F', 'encryptionKeys has a bad percent escape'],
        ['redis://h?wire=channels-core&serializer=pickle', 'there are msgpack, json'],
        ['redis://h?wire=channels-core&randomPrefixLength=-1', 'not a whole number from 0'],
        ['redis://h?wire=channels-pubsub&randomPrefixLength=4', 'is for wire=channels-core'],
        ['redis-sentinel://h', 'needs the name of the primary'],
        ['redis-cluster://h/1', 'one database'],
        ['redis-cluster://h?wire=channels-core', 'cannot run on Redis Cluster'],
        ['redis://:%ZZ@h', 'bad percent escape'],
      ],
      (url, message) => {
        expect(() => parseUrl(url)).toThrow(expect.objectContaining({ code: 'INVALID_URL', message: expect.stringContaining(message) }));
      },
    ));

  test('openLayer knows each scheme', () =>
    eachCase(
      ['redis', 'rediss', 'valkey', 'valkeys'].flatMap((scheme) => ['', '-sentinel', '-cluster'].map((form) => scheme + form)).concat('redis+unix', 'unix'),
      async (scheme) => {
        await expect(openLayer(`${scheme}://`)).rejects.toMatchObject({ code: 'INVALID_URL' });
      },
    ));

  test('an error never repeats a secret', () =>
    eachCase(
      [
        'redis://:geheim@a,b',
        'redis://:geheim/x@h',
        'redis://:geheim?x@h',
        'redis://:a@geheim@h',
        'redis+unix://:geheim@h',
        'unix://u:geheim@/p?x=1',
        'redis-sentinel://h/m?sentinelPassword=a&geheim',
        'redis://h?wire=channels-core&encryptionKeys=a&geheim',
        'redis://h?wire=channels-core&encryptionKeys=a@geheim',
        'redis://h?wire=channels-core&encryptionKeys=a#geheim',
        'redis://h?wire=channels-core&encryptionKeys=geheim%',
        'redis://h?wire=channels-core&encryptionKeys=geheim,',
      ],
      (url) => {
        expect(() => parseUrl(url)).toThrow(expect.objectContaining({ code: 'INVALID_URL', message: expect.not.stringContaining('geheim') }));
      },
    ));
});
