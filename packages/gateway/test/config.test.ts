import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ConfigError } from '../src/config/faults.ts';
import { flagOf, KEYS, variableOf } from '../src/config/keys.ts';
import { printConfig } from '../src/config/print.ts';
import { duration, size } from '../src/config/types.ts';
import { type Config, inspectConfig } from '../src/config.ts';
import { faultsOf, load } from './support/configuration.ts';
import { processorMs } from './support/cpu.ts';
import { eachCase } from '../../../test/support/each-case.ts';

const ROUTES = 'routes: [{path: "/room/:room", kind: room, join: anyone, publish: nobody}]';

describe('sources', () => {
  test('a flag stands over a variable, a variable over the file, the file over the preset', () => {
    const files = { 'b.yaml': 'port: 1001\ncapacity: 7\nexpiry: 3s\n' };
    const config = load({ argv: ['--demo', '--config', 'b.yaml', '--port', '1003'], env: { BUSGATE_PORT: '1002', BUSGATE_CAPACITY: '8' }, files });
    expect([config.port, config.capacity, config.expiry, config.groupExpiry]).toEqual([1003, 8, 3000, 86_400_000]);
  });

  test('BUSGATE_CONFIG names the file where no flag does', () => {
    expect(load({ argv: ['--demo'], env: { BUSGATE_CONFIG: 'b.yaml' }, files: { 'b.yaml': 'port: 1001' } }).port).toBe(1001);
  });

  test('every key has a variable and a flag, and no two share one', () => {
    expect(variableOf('drain.notice')).toBe('BUSGATE_DRAIN_NOTICE');
    expect(flagOf('drain.notice')).toBe('--drain-notice');
    expect(flagOf('limits.layer_message')).toBe('--limits-layer-message');
    expect(new Set(KEYS.map(flagOf)).size).toBe(KEYS.length);
    expect(flagOf('limits.address.sessions')).toBe('--limits-address-sessions');
    expect(KEYS.filter((key) => !/^[a-z]+(?:_[a-z]+)*(?:\.[a-z]+(?:_[a-z]+)*){0,2}$/.test(key))).toEqual([]);
  });

  test('the design’s smallest file', () => {
    const file = `layer: redis://redis:6379
origins: ["https://app.example"]
routes: [{path: "/room/:room", kind: room, join: anyone, publish: anyone}, {path: /socket, kind: multiplex, join: anyone, publish: nobody}]`;
    const config = load({ argv: ['--config', 'b.yaml'], files: { 'b.yaml': file } });
    expect(config.origins).toEqual(['https://app.example']);
    expect(config.host).toBe('*');
    expect(config.routes).toMatchObject([
      { kind: 'room', path: { segments: [{ literal: 'room' }, { param: 'room' }] }, frames: 'auto', onGap: 'stay', onPublishFailure: 'close' },
      { kind: 'multiplex', path: { segments: [{ literal: 'socket' }] }, publish: 'nobody' },
    ]);
  });

  test('a key with two dots stands in maps of maps, in a map with what is left of the key, or alone', () => {
    const say = (content: string): Config => load({ argv: ['--demo', '--config', 'b.yaml'], files: { 'b.yaml': content } });
    for (const content of [
      'limits: {address: {sessions: 7}}',
      'limits: {address.sessions: 7}',
      'limits.address: {sessions: 7}',
      'limits.address.sessions: 7',
    ]) {
      expect(say(content).limits.address, content).toEqual({ sessions: 7, handshakes: undefined });
    }
    const argv = ['--demo', '--config', 'b.yaml'];
    expect(faultsOf({ argv, files: { 'b.yaml': 'limits: {address: 7}' } })).toEqual(['b.yaml: limits.address must be a map of sessions, handshakes']);
    expect(faultsOf({ argv, files: { 'b.yaml': 'limits: {address: {sesions: 7}}' } })).toEqual([
      'b.yaml: limits.address.sesions is not a setting; the nearest is limits.address.sessions',
    ]);
  });

  test('rates: so many a second, and so many at once', () => {
    const config = load({ argv: ['--demo', '--limits-address-handshakes', '10/s burst 25'] });
    expect(config.limits.address.handshakes).toEqual({ perSecond: 10, burst: 25 });
    expect(load({ argv: ['--demo', '--limits-address-handshakes', '10/s'] }).limits.address.handshakes).toEqual({ perSecond: 10, burst: 10 });
    expect(load().limits.address.handshakes).toBeUndefined();
    expect(load({ argv: ['--demo', '--rate-bytes', '7KiB/s burst 1MiB'] }).rate).toEqual({
      frames: undefined,
      bytes: { perSecond: 7168, burst: 1_048_576 },
      joins: undefined,
      publishes: undefined,
      control: { perSecond: 20, burst: 20 },
    });
  });

  test('lists may stand in variables and flags', () => {
    const config = load({
      argv: ['--demo', '--history', '[{rooms: "chat.>", size: 10, age: 5m}]'],
      env: { BUSGATE_ORIGINS: 'https://a.example,http://localhost:3000', BUSGATE_TRUSTED_PROXIES: '10.0.0.0/8, ::1' },
    });
    expect(config.trustedProxies).toEqual(['10.0.0.0/8', '::1']);
    expect(config.origins).toEqual(['https://a.example', 'http://localhost:3000']);
    expect(config.history).toEqual([{ rooms: 'chat.>', size: 10, ageMs: 300_000 }]);
    expect(load({ argv: ['--demo', '--history', '[{rooms: "chat.>", size: 10, ageMs: 300000}]'] }).history).toEqual(config.history);
    expect(faultsOf({ argv: ['--demo', '--history', '[{rooms: "chat.>", size: 10, age: 5m, ageMs: 300000}]'] })).toEqual([
      expect.stringContaining('ageMs must be left out'),
    ]);
    expect(faultsOf({ argv: ['--demo', '--history', '[{rooms: "chat.>", size: 10}]'] })).toEqual([expect.stringContaining('age must be said')]);
  });

  test('origins of apps, of all names below one and of any port', () => {
    const origins = [
      'https://*.example.com',
      'https://*.example.com:8443',
      'http://localhost:*',
      'capacitor://localhost',
      'app://obsidian.md',
      'chrome-extension://ab',
      'null',
    ];
    expect(load({ argv: ['--demo', '--origins', origins.join(',')] }).origins).toEqual(origins);
    expect(load({ argv: ['--demo', '--origins', '["null"]'] }).origins).toEqual(['null']);
  });

  test('an empty variable says nothing', () => {
    expect(load({ env: { BUSGATE_PORT: '' } }).port).toBe(8080);
  });

  test('the variables that Kubernetes makes of a service called busgate are not settings', () => {
    const env = {
      BUSGATE_SERVICE_HOST: '10.0.0.1',
      BUSGATE_SERVICE_PORT: '8080',
      BUSGATE_SERVICE_PORT_HTTP: '8080',
      BUSGATE_PORT: 'tcp://10.0.0.1:8080',
      BUSGATE_PORT_8080_TCP: 'tcp://10.0.0.1:8080',
      BUSGATE_PORT_8080_TCP_ADDR: '10.0.0.1',
      BUSGATE_OPS_SERVICE_HOST: '10.0.0.2',
      BUSGATE_OPS_PORT: 'tcp://10.0.0.2:9090',
    };
    expect(load({ env }).port).toBe(8080);
    expect(faultsOf({ env: { BUSGATE_PORT: 'tcp://10.0.0.1:8080' } })).toHaveLength(1);
  });

  test('a secret may stand in a file of its own', () => {
    const files = { '/run/layer': 'redis://:pw@redis:6379\n', '/run/empty': '\n' };
    expect(load({ env: { BUSGATE_LAYER_FILE: '/run/layer' }, files }).layer).toBe('redis://:pw@redis:6379');
    expect(faultsOf({ env: { BUSGATE_LAYER_FILE: '/run/layer', BUSGATE_LAYER: 'memory:' }, files })).toEqual([expect.stringContaining('both said')]);
    expect(faultsOf({ env: { BUSGATE_LAYER_FILE: '/run/empty' }, files })).toEqual([expect.stringContaining('/run/empty, which is empty')]);
    expect(faultsOf({ env: { BUSGATE_LAYER_FILE: '/run/none' }, files })).toEqual([
      expect.stringContaining('BUSGATE_LAYER_FILE names a file that cannot be read'),
    ]);
  });
});

describe('closed defaults', () => {
  test('without --demo routes must be said, and join and publish on each', () => {
    expect(faultsOf({ argv: [] })).toEqual([expect.stringMatching(/^routes must be said: .*--demo/)]);
    const files = { 'b.yaml': 'routes: [{path: "/room/:room", kind: room}]' };
    expect(faultsOf({ argv: ['--config', 'b.yaml'], files })).toEqual([
      'b.yaml: routes[0].join must be said: anyone, nobody, user or token',
      'b.yaml: routes[0].publish must be said: anyone, nobody, user or token',
    ]);
  });

  test('what is in force can be seen before routes are said', () => {
    const { config, unsaid } = inspectConfig({ argv: ['--drain-notice', '7s'], env: {}, readFile: () => '', descriptors: 20_000 });
    expect(printConfig(config)).toContain('notice: 7s');
    expect(printConfig(config)).not.toContain('routes');
    expect(unsaid).toEqual([expect.stringMatching(/^routes must be said/)]);
    expect(() => inspectConfig({ argv: ['--drain-notice', '7'], env: {}, readFile: () => '', descriptors: 20_000 })).toThrow(ConfigError);
  });

  test('--demo opens what is unsaid, keeps what is said, and listens on loopback unless told otherwise', () => {
    const files = { 'b.yaml': 'routes: [{path: "/room/:room", kind: room, publish: nobody}]' };
    const config = load({ argv: ['--demo', '--config', 'b.yaml'], files });
    expect(config.routes).toMatchObject([{ join: 'anyone', publish: 'nobody' }]);
    expect([config.host, config.ops.host]).toEqual(['localhost', 'localhost']);
    const open = load({ argv: ['--demo', '--host', '0.0.0.0'] });
    expect([open.host, open.ops.host]).toEqual(['0.0.0.0', 'localhost']);
    expect(load({ argv: ['--routes', '[{path: /s, kind: multiplex, join: anyone, publish: nobody}]', '--host', '*'] }).ops.host).toBe('localhost');
    expect(load().routes).toMatchObject([
      { path: { text: '/room/:room' }, join: 'anyone', publish: 'anyone' },
      { path: { text: '/socket' }, join: 'anyone', publish: 'anyone' },
    ]);
  });

  test('the sessions fit the descriptors, with room for the bus and the ops port', () => {
    expect(load({ descriptors: 20_000 }).limits.sessions).toBe(19_872);
    expect(load({ descriptors: 200 }).limits.sessions).toBe(100);
  });

  test('the configuration is frozen', () => {
    const config = load();
    expect([config, config.limits, config.limits.address].every((value) => Object.isFrozen(value))).toBe(true);
  });
});

describe('faults', () => {
  test('all of them at once, each with its place, its value and what is allowed', () => {
    const faults = faultsOf({
      argv: ['--config', 'b.yaml', '--limits-mesage', '5', '--port', '70000'],
      env: { BUSGATE_DRAIN_NOTICE: '5', BUSGATE_LIMITS_OUTBX: '1MiB' },
      files: { 'b.yaml': `${ROUTES}\nlimit: {message: 64KiB}\nlimits: {message: 64}\nheartbeat: 25s\n` },
    });
    expect(faults).toEqual([
      'the flag "--limits-mesage" is unknown; the nearest is --limits-message',
      'the variable BUSGATE_LIMITS_OUTBX is not a setting; the nearest is BUSGATE_LIMITS_OUTBOX',
      'b.yaml: heartbeat must be a map of interval, timeout',
      'b.yaml: limit is not a setting; the nearest is limits',
      '--port is "70000", but must be a whole number from 0 to 65535',
      expect.stringMatching(/^b\.yaml: limits\.message is 64, but must be a size .*\(B, KiB, MiB or GiB\), such as 64KiB; a number without a unit/),
      expect.stringMatching(/^BUSGATE_DRAIN_NOTICE is "5", but must be a duration .*\(ms, s, m, h or d\), such as 5s; a number without a unit/),
    ]);
  });

  test('a regular expression for a path matches in linear time', async () => {
    const config = load({ argv: ['--demo', '--routes', '[{path: "^/r/(?<room>(a+)+)$", kind: room}]'] });
    const expression = config.routes[0]?.path.expression;
    const match = expression?.matcher('/r/aaa');
    expect(match?.matches() && match.group('room')).toBe('aaa');
    const cost = await processorMs(() => expect(expression?.matcher(`/r/${'a'.repeat(2000)}!`).matches()).toBe(false));
    expect(cost).toBeLessThan(200);
  });

  test('a switch that cannot be read is one fault, and nothing follows from it', () =>
    eachCase(['proxy-protocol', 'limits-user-replace'], (flag) => {
      expect(faultsOf({ argv: ['--demo', `--${flag}=perhaps`] })).toEqual([expect.stringContaining(`--${flag} is "perhaps"`)]);
    }));

  test('each is a line that moves no cursor, whatever was written', () => {
    expect(faultsOf({ argv: ['--config', 'b.yaml'], files: { 'b.yaml': `"a\\e[31mb\\nc": 1\n${ROUTES}` } })).toEqual([
      'b.yaml: a\\u001b[31mb\\u000ac is not a setting',
    ]);
  });

  test('a path may end with a slash, and a regular expression is a map of its own; both are printed as they are read', () => {
    const routes = '[{path: "/ws/chat/:room/", kind: room}, {path: {regex: "^/old/(?<room>[a-z]+)/$"}, kind: room}, {path: /, kind: multiplex}]';
    const config = load({ argv: ['--demo', '--routes', routes] });
    expect(config.routes[0]?.path.segments).toEqual([{ literal: 'ws' }, { literal: 'chat' }, { param: 'room' }, { literal: '' }]);
    expect(parse(printConfig(config))).toMatchObject({ routes: [{ path: '/ws/chat/:room/' }, { path: { regex: '^/old/(?<room>[a-z]+)/$' } }, { path: '/' }] });
    expect(faultsOf({ argv: ['--demo', '--routes', '[{path: "/(a|b)/:room", kind: room}]'] })).toEqual([expect.stringContaining('{regex: ')]);
  });

  test('a map may be merged from another one', () => {
    const file =
      'x: &open { kind: room, join: anyone, publish: nobody }\nroutes: [{ <<: *open, path: "/a/:room" }, { <<: *open, path: "/b/:room", join: nobody }]';
    expect(faultsOf({ argv: ['--config', 'b.yaml'], files: { 'b.yaml': file } })).toEqual([expect.stringContaining('x is not a setting')]);
    const files = { 'b.yaml': 'routes: [&open { path: "/a/:room", kind: room, join: anyone, publish: nobody }, { <<: *open, path: "/b/:room" }]' };
    expect(load({ argv: ['--config', 'b.yaml'], files }).routes).toMatchObject([
      { path: { text: '/a/:room' } },
      { path: { text: '/b/:room' }, join: 'anyone' },
    ]);
  });

  test('settings that do not fit each other', () => {
    expect(faultsOf({ argv: ['--demo', '--workers', '2'] })).toEqual([expect.stringMatching(/memory: .*redis:\/\/.*nats:\/\//)]);
    expect(load({ argv: ['--demo', '--workers', '2', '--layer', 'redis://h'] }).workers).toBe(2);
    expect(faultsOf({ argv: ['--demo', '--port', '9090'] })).toEqual([expect.stringContaining('never public')]);
    expect(faultsOf({ argv: ['--demo', '--drain-notice', '30s'] })).toHaveLength(1);
    expect(faultsOf({ argv: ['--demo', '--limits-message', '2MiB', '--limits-frame', '3MiB'] })).toEqual([expect.stringContaining('limits.layer_message')]);
    expect(faultsOf({ argv: ['--demo', '--port', '0', '--ops-port', '0'] })).toEqual([]);
    expect(faultsOf({ argv: ['--demo', '--proxy-protocol'] })).toEqual([expect.stringContaining('needs trusted_proxies')]);
    expect(faultsOf({ argv: ['--demo', '--limits-user-replace'] })).toEqual([expect.stringContaining('needs limits.user.sessions')]);
    expect(faultsOf({ argv: ['--demo', '--limits-user-sessions', '5'] })).toEqual([expect.stringContaining('sessions needs auth.jwt or auth.http')]);
  });

  test('a file that cannot be read, or is no YAML, says so and shows none of its lines', () => {
    expect(faultsOf({ argv: ['--config', 'none.yaml'] })).toEqual([expect.stringContaining('none.yaml')]);
    const files = ['layer: [redis://u:secret@h', '? {layer: "redis://u:secret@h"}\n: 1\n'].map((yaml) => ({ 'b.yaml': yaml }));
    const faults = files.flatMap((each) => faultsOf({ argv: ['--config', 'b.yaml'], files: each }));
    expect(faults).toEqual([expect.stringContaining('b.yaml is not YAML'), expect.stringContaining('a key must be a text')]);
    expect(faults.join()).not.toContain('secret');
  });

  test('no secret is shown', () => {
    const faults = faultsOf({ argv: ['--demo', '--layer', 'redis:/user:p@ss/w0rd@host', 'redis://:p@ss/w0rd@h'] });
    expect(faults).toHaveLength(2);
    expect(faults.join()).not.toContain('w0rd');
  });

  test('odd names are neither settings nor a way into prototypes', () => {
    const files = { 'b.yaml': `${ROUTES}\n__proto__: {admin: true}\nconstructor: 1\ntoString: 2\n` };
    expect(faultsOf({ argv: ['--config', 'b.yaml', '--__proto__=1', '--constructor'], files })).toHaveLength(5);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });
});

describe('busgate config', () => {
  test('what it prints says the same again', () => {
    const config = load({
      argv: ['--demo', '--ready-layer-grace', '90s', '--history', '[{rooms: a.*, size: 5, age: 90m}]', '--limits-address-handshakes', '7/s'],
    });
    const printed = printConfig(config);
    expect(printConfig(load({ argv: ['--config', 'p.yaml'], files: { 'p.yaml': printed } }))).toBe(printed);
    expect(parse(printed)).toMatchObject({ ready: { layer_grace: '90s' }, limits: { message: '64KiB', layer_message: '1MiB' } });
  });

  test('masks secrets', () => {
    const printed = printConfig(load({ argv: ['--demo', '--layer', 'redis-sentinel://u:s3cret@h1,x:s3cret@h2/main?password=s3cret'] }));
    expect(printed).toContain('redis-sentinel://***@h2/main?***');
    expect(printed).not.toContain('s3cret');
  });

  test('a layer is shown without what is secret', () =>
    eachCase(
      [
        ['unix:///run/redis.sock', 'unix:///run/redis.sock'],
        ['redis+unix://:s3cret@/run/redis.sock?db=1', 'redis+unix://***@/run/redis.sock?***'],
        ['redis://h1,h2?wire=channels-core&encryptionKeys=s3cret', 'redis://h1,h2?***'],
        ['redis://u:s3cret@h?wire=channels-core&encryptionKeys=s3cret', 'redis://***@h?***'],
        ['redis://h?wire=channels-core&encryptionKeys=s3@cret', 'redis://***'],
        ['redis://u:p@h?wire=channels-core&encryptionKeys=s3@cret', 'redis://***'],
        ['redis://u:s3?cr@et@h', 'redis://***'],
      ],
      (url, shown) => {
        const printed = printConfig(load({ argv: ['--demo', '--layer', url] }));
        expect(parse(printed)).toMatchObject({ layer: shown });
      },
    ));
});

describe('units', () => {
  const types = [duration('0s', '24d'), size('0B', '1024GiB')] as const;

  test('what is written is read again', () => {
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.integer({ min: 0, max: 2_000_000_000 }), (type, value) => {
        expect(type.read(type.write(value), (fault) => expect(fault).toBeUndefined())).toBe(value);
      }),
    );
  });

  test('a number without a unit is never taken', () => {
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.oneof(fc.double(), fc.integer(), fc.integer().map(String), fc.anything()), (type, raw) => {
        fc.pre(typeof raw !== 'string' || !/[a-zA-Z]/.test(raw));
        expect(type.read(raw, () => undefined)).toBeUndefined();
      }),
    );
  });
});
