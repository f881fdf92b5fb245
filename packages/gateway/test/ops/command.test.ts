import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { close, drain, fleet, rooms, sessions } from '../../src/cli/operate.ts';
import { tap } from '../../src/cli/tap.ts';
import { bytes, duration, table, wantsColour } from '../../src/cli/operate/table.ts';
import { ConfigError } from '../../src/config/faults.ts';
import { Client } from '../support/client.ts';
import { TestGateway, until } from '../support/gateway.ts';
import { KEY, Operator } from '../support/operator.ts';

const COMMANDS = { close, drain, fleet, rooms, sessions };
const ASKING = { ...COMMANDS, tap };

let gateway: TestGateway;
let url: string;
beforeAll(async () => {
  gateway = await TestGateway.start(
    ['--ops-key', KEY, '--drain-notice', '0s', '--history', '[{rooms: "kept.>", size: 10, age: 60s}]'],
    [{ rooms: 'kept.>', size: 10, ageMs: 60_000 }],
  );
  url = `http://127.0.0.1:${gateway.gateway.ops.port}`;
  await until(() => gateway.gateway.isReached, 'the layer is reached');
});
afterAll(() => gateway?.[Symbol.asyncDispose]());
afterEach(() => vi.restoreAllMocks());

/** What a command writes that asks this test's gateway. */
function run(name: keyof typeof COMMANDS, ...argv: readonly string[]): Promise<string> {
  return runAt(url, name, argv);
}

async function runAt(base: string, name: keyof typeof COMMANDS, argv: readonly string[] = []): Promise<string> {
  let written = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    written += String(text);
    return true;
  });
  expect(await COMMANDS[name]([...argv, '--ops-url', base], { BUSGATE_OPS_KEY: KEY })).toBe(0);
  vi.restoreAllMocks();
  return written;
}

async function join(...rooms: string[]): Promise<{ client: Client; id: string }> {
  const client = await Client.multiplex(gateway.ws('/socket'));
  for (const room of rooms) client.send({ type: 'join', room });
  await client.until(() => client.received.length === 1 + rooms.length);
  return { client, id: String(client.frames[0]?.['session']) };
}

describe('a command for operators', () => {
  test('fleet: every gateway, as a table and as JSON', async () => {
    const [head = '', line = ''] = (await run('fleet')).split('\n');
    expect(head).toMatch(/^GATEWAY +VERSION +UPTIME +SESSIONS +ROOMS +STATE +LAYER +HEARTBEAT$/);
    expect(line).toMatch(new RegExp(`^${gateway.layer.process} +test +.* serving +connected +`));
    expect(JSON.parse(await run('fleet', '--json'))).toMatchObject({ gateways: [{ gateway: gateway.layer.process }], missing: [] });
  });

  test('sessions: those in a room, of a user, at an address', async () => {
    const { client, id } = await join('c.1', 'c.2', 'c.3', 'c.4');
    expect(await run('sessions', '--room', 'c.1')).toMatch(
      new RegExp(`\\n${id} +- +127\\.0\\.0\\.1 +websocket +/socket +0 B +\\S+ +c\\.1 c\\.2 c\\.3 and 1 more\\n$`),
    );
    expect(JSON.parse(await run('sessions', '--room', 'c.1', '--json'))).toMatchObject({ sessions: [{ id }], missing: [] });
    expect(await run('sessions', '--user', 'ada')).toMatch(/^SESSION[^\n]*\n$/);
    await client[Symbol.asyncDispose]();
  });

  test('rooms: by members, below a pattern', async () => {
    const clients = [await join('m.small', 'm.large'), await join('m.large', 'other')];
    const lines = (await run('rooms', 'm.*')).split('\n');
    expect(lines.slice(1, 3).map((line) => line.split(/ +/).slice(0, 3))).toEqual([
      ['m.large', '2', '2'],
      ['m.small', '1', '1'],
    ]);
    expect(lines).toHaveLength(4);
    await Promise.all(clients.map(({ client }) => client[Symbol.asyncDispose]()));
  });

  test('all pages of a list are one', async () => {
    const operator = new Operator(url);
    const { client } = await join(...Array.from({ length: 900 }, (_, index) => `p.${index}`));
    const { client: other } = await join(...Array.from({ length: 200 }, (_, index) => `p.${900 + index}`));
    const { rooms } = JSON.parse(await run('rooms', 'p.*', '--json')) as { rooms: { room: string }[] };
    expect(new Set(rooms.map(({ room }) => room)).size).toBe(1100);
    expect((await operator.pages('/api/rooms?match=p.*&limit=1000')).length).toBe(2);
    await Promise.all([client, other].map((one) => one[Symbol.asyncDispose]()));
  });

  test('close: with the code that was said; a session that is not there is told', async () => {
    const { client, id } = await join();
    expect(await run('close', id, '--code', '4001')).toBe('closed with 4001\n');
    expect(await client.closed()).toBe(4001);
    await expect(run('close', id)).rejects.toThrow(`${url}: 404 no_session: there is no such session`);
  });

  test('drain: that gateway', async () => {
    await using draining = await TestGateway.start(['--ops-key', KEY, '--drain-notice', '0s']);
    await using client = await Client.multiplex(draining.ws('/socket'));
    expect(await runAt(`http://127.0.0.1:${draining.gateway.ops.port}`, 'drain')).toBe('draining\n');
    expect(await client.closed()).toBe(1012);
  });

  test.each<[string, readonly string[], Readonly<Record<string, string>>, string]>([
    ['no key', [], {}, 'BUSGATE_OPS_KEY must hold the key of the ops port'],
    ['a file of a key that is not there', [], { BUSGATE_OPS_KEY_FILE: '/nowhere/ops.key' }, 'BUSGATE_OPS_KEY_FILE names a file that cannot be read'],
    ['a URL that is none', ['--ops-url', 'localhost:9090'], { BUSGATE_OPS_KEY: KEY }, '--ops-url is'],
    ['a word too many', ['a'], { BUSGATE_OPS_KEY: KEY }, 'this command takes flags alone'],
    ['an unknown flag', ['--user', 'x', '--usr', 'y'], { BUSGATE_OPS_KEY: KEY }, '--usr'],
  ])('%s is a mistake of what was written: nothing is asked', async (_, argv, env, message) => {
    const failure = await sessions(argv, env).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConfigError);
    expect((failure as ConfigError).faults.join('\n')).toContain(message);
  });

  test.each<[keyof typeof ASKING, readonly string[], string]>([
    ['rooms', ['a..b'], 'PATTERN is "a..b", but must be a room name'],
    ['sessions', ['--room', 'a..b'], '--room is "a..b", but must be the name of a room'],
    ['close', ['some-session', '--code', '1006'], '--code is "1006", but must be what a close frame may carry'],
    ['close', ['some-session', '--code', '4000.0'], '--code is "4000.0"'],
    ['tap', ['a', '--rate', '0'], '--rate is "0", but must be a whole number from 1 to 1000'],
    ['tap', ['a..b'], 'ROOM is "a..b"'],
  ])('%s %j is a mistake of what was written: nothing is asked', async (name, argv, message) => {
    const failure = await ASKING[name]([...argv, '--ops-url', 'http://127.0.0.1:1'], { BUSGATE_OPS_KEY: KEY }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConfigError);
    expect((failure as ConfigError).faults.join('\n')).toContain(message);
  });

  test('a wrong key, a port that is no ops port, one without a key, and nobody there are told in a line', async () => {
    await using plain = await TestGateway.start();
    const asking = (base: string, key = KEY): Promise<number> => fleet(['--ops-url', base], { BUSGATE_OPS_KEY: key });
    await expect(asking(url, 'wrong')).rejects.toThrow('401 unauthorized');
    await expect(asking(plain.http(''))).rejects.toThrow('404');
    await expect(asking(`http://127.0.0.1:${plain.gateway.ops.port}`)).rejects.toThrow('404 no_route: this ops port has no API: is ops.key set?');
    await expect(asking('http://127.0.0.1:1')).rejects.toThrow(/^http:\/\/127\.0\.0\.1:1: /);
  });
});

describe('a table', () => {
  const COLUMNS = [
    { title: 'NAME', show: ({ name }: { name: string }) => name },
    {
      title: 'COUNT',
      right: true as const,
      show: ({ count }: { count: number }) => String(count),
      colour: ({ count }: { count: number }) => (count > 1 ? ('red' as const) : undefined),
    },
    { title: 'REST', show: () => 'x' },
  ];

  test('has columns as wide as they need to be, and nothing of a cell moves the cursor', () => {
    expect(
      table(
        COLUMNS,
        [
          { name: 'a', count: 1 },
          { name: 'a\u001B[2Jlong', count: 100 },
        ],
        false,
      ),
    ).toBe('NAME            COUNT  REST\na                   1  x\na\\u001b[2Jlong    100  x\n');
  });

  test('is coloured only on a terminal, and not where NO_COLOR is set', () => {
    expect(table(COLUMNS, [{ name: 'a', count: 2 }], true)).toBe(
      '\u001B[1mNAME\u001B[22m  \u001B[1mCOUNT\u001B[22m  \u001B[1mREST\u001B[22m\na     \u001B[31m    2\u001B[39m  x\n',
    );
    expect([
      wantsColour({ isTTY: true }, {}),
      wantsColour({ isTTY: true }, { NO_COLOR: '1' }),
      wantsColour({ isTTY: true }, { NO_COLOR: '' }),
      wantsColour({}, {}),
      wantsColour({ isTTY: true }, { TERM: 'dumb' }),
    ]).toEqual([true, false, true, false, false]);
  });

  test('shows durations and sizes as people say them', () => {
    expect([0.04, 9.94, 59, 60, 3661, 86_400, 200_000].map(duration)).toEqual(['0s', '9.9s', '59s', '1m', '1h 1m', '1d', '2d 7h']);
    expect([0, 1023, 1024, 1536, 5 * 1024 ** 2].map(bytes)).toEqual(['0 B', '1023 B', '1 KiB', '1.5 KiB', '5 MiB']);
  });
});
