import { describe, expect, test } from 'vitest';
import { parseUrl } from '../src/url.ts';

describe('parseUrl', () => {
  test.each([
    ['redis://h', { kind: 'standalone', nodes: [{ host: 'h', port: 6379 }], credentials: {}, db: 0 }],
    ['redis://h:7000/5', { kind: 'standalone', nodes: [{ host: 'h', port: 7000 }], db: 5 }],
    ['redis://[::1]:7000', { nodes: [{ host: '::1', port: 7000 }] }],
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
    ['redis://h?wire=channels-core', { wire: 'channels-core' }],
  ])('%s', (url, expected) => {
    expect(parseUrl(url)).toMatchObject(expected);
  });

  test.each([
    ['redis:h', 'expected redis://'],
    ['redis://', 'expected redis://'],
    ['redis://a,b', 'several need'],
    ['redis://h:0', '"h:0" is not host[:port]'],
    ['redis://h:70000', 'is not host[:port]'],
    ['redis://h/x', 'database "x"'],
    ['redis://user@h', 'needs a password'],
    ['redis://h?what=1', 'there are db, wire'],
    ['redis://h?ca=/x', 'must begin with rediss'],
    ['redis://h?wire=x', 'there are busgate, channels-core'],
    ['redis-sentinel://h', 'needs the name of the primary'],
    ['redis-cluster://h/1', 'one database'],
    ['redis-cluster://h?wire=channels-core', 'cannot run on Redis Cluster'],
    ['redis://:%ZZ@h', 'bad percent escape'],
  ])('%s is refused: %s', (url, message) => {
    expect(() => parseUrl(url)).toThrow(expect.objectContaining({ code: 'INVALID_URL', message: expect.stringContaining(message) }));
  });

  test('an error never repeats the password', () => {
    expect(() => parseUrl('redis://:geheim@a,b')).toThrow(expect.not.objectContaining({ message: expect.stringContaining('geheim') }));
  });
});
