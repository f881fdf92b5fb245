import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KEY, Operator } from '../../packages/gateway/test/support/operator.ts';
import { type Broker, startRedis } from '../support/brokers.ts';
import { Child } from '../support/child.ts';
import { type GatewayProcess, runBusgate, startGateway } from '../support/processes.ts';
import { Client, MultiplexClient } from './clients.ts';

/** Drains that a test can wait for. */
const QUICK = ['--drain-notice', '100ms', '--drain-deadline', '20s'];

let redis: Broker;
let scratch: string;
beforeAll(async () => {
  redis = await startRedis();
  scratch = await mkdtemp(join(tmpdir(), 'busgate-workers-'));
});
afterAll(async () => {
  await redis?.[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true, force: true });
});

function start(...args: readonly string[]): Promise<GatewayProcess> {
  return startGateway({ args: ['--demo', '--layer', redis.url, ...QUICK, ...args] });
}

interface Line {
  readonly message: string;
  readonly worker: number;
  readonly pid: number;
  readonly how?: string;
  readonly reason?: string;
}

function lines(gateway: Pick<GatewayProcess, 'lines'>, message: string): Line[] {
  return gateway.lines.all
    .filter((line) => line.startsWith('{'))
    .flatMap((line) => (line.includes(`"message":"${message}"`) ? [JSON.parse(line) as Line] : []));
}

/** The process of a worker, the newest of its number. */
function pidOf(gateway: Pick<GatewayProcess, 'lines'>, worker: number): number {
  return lines(gateway, 'a worker serves').findLast((line) => line.worker === worker)?.pid ?? 0;
}

/** Resolves when so many workers have begun to serve in all. */
async function served(gateway: Pick<GatewayProcess, 'lines'>, count: number): Promise<void> {
  await gateway.lines.until(() => lines(gateway, 'a worker serves').length >= count, `${count} workers that serve`);
}

/** The name of a worker stands at the front of those of its sessions; so clients say which worker each is at. */
function workersOf(clients: readonly MultiplexClient[]): string[] {
  return clients.map(({ frames }) => String(frames.find(({ type }) => type === 'welcome')?.['session']).split('-')[0] as string);
}

function openMany(gateway: Pick<GatewayProcess, 'ws'>, count: number): Promise<MultiplexClient[]> {
  return Promise.all(Array.from({ length: count }, () => MultiplexClient.open(gateway.ws('/socket'))));
}

async function closeAll(clients: readonly Client[]): Promise<void> {
  for (const client of clients) await client[Symbol.asyncDispose]();
}

/** Every counter of a page by its name and labels. */
async function countersOf(gateway: Pick<GatewayProcess, 'ops'>): Promise<Map<string, number>> {
  const page = await (await fetch(gateway.ops('/metrics'))).text();
  const cumulative = page.split('\n').filter((line) => /^[a-z_]+(?:_total|_count|_sum|_bucket)(?:\{[^}]*\})? /.test(line));
  return new Map(cumulative.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

/** Looks at every counter again and again, until it is disposed of; {@link fallen} are those that were less than before, or gone. */
class Counters implements AsyncDisposable {
  readonly fallen: string[] = [];
  looks = 0;
  #over = false;
  readonly #done: Promise<void>;

  constructor(gateway: Pick<GatewayProcess, 'ops'>) {
    this.#done = this.#watch(gateway);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    await this.#done;
  }

  async #watch(gateway: Pick<GatewayProcess, 'ops'>): Promise<void> {
    let before = await countersOf(gateway);
    while (!this.#over) {
      const now = await countersOf(gateway);
      this.looks += 1;
      for (const [name, value] of before) if (!((now.get(name) ?? -1) >= value)) this.fallen.push(`${name}: ${value}, then ${now.get(name)}`);
      before = now;
      await delay(20);
    }
  }
}

/** Resolves when no such process runs any more. */
async function goneProcess(pid: number): Promise<void> {
  await expect
    .poll(() => {
      try {
        process.kill(pid, 0);
        return 'runs';
      } catch {
        return 'gone';
      }
    })
    .toBe('gone');
}

describe('several workers', () => {
  test('serve one port together, each room is one for all, and one page of metrics has all of them', async () => {
    await using gateway = await start('--workers', '3');
    await served(gateway, 3);
    const clients = await openMany(gateway, 60);
    expect(new Set(workersOf(clients)).size).toBe(3);
    await expect.poll(() => gateway.metric('busgate_sessions{transport="websocket"}')).toBe(60);
    for (const client of clients) expect((await client.request({ type: 'join', room: 'all' })).type).toBe('joined');
    const posts = await Promise.all(Array.from({ length: 20 }, (_, number) => fetch(gateway.http('/room/all'), { method: 'POST', body: `post ${number}` })));
    expect(posts.map(({ status }) => status)).toEqual(posts.map(() => 202));
    await Promise.all(clients.map((client) => client.until(() => client.frames.filter(({ type }) => type === 'message').length === 20)));
    await expect.poll(() => gateway.metric('busgate_deliveries_sent_total')).toBe(60 * 20);
    await expect.poll(() => gateway.metric('busgate_publish_total')).toBe(20);
    for (const worker of [1, 2, 3]) await expect.poll(() => gateway.metric(`busgate_worker_up{worker="${worker}"}`)).toBe(1);
    await closeAll(clients);
  });

  test('one that is killed is replaced; the clients of the others stay, and no counter falls', async () => {
    await using gateway = await start('--workers', '3');
    await served(gateway, 3);
    const clients = await openMany(gateway, 45);
    const codes: number[] = [];
    for (const client of clients) void client.closed.then(({ code }) => codes.push(code));
    const workers = workersOf(clients);
    await using counters = new Counters(gateway);
    for (const client of clients) expect((await client.request({ type: 'publish', room: 'r', text: 'x' })).type).toBe('published');
    await expect.poll(() => gateway.metric('busgate_publish_total')).toBe(45);

    process.kill(pidOf(gateway, 2), 'SIGKILL');
    await served(gateway, 4);

    expect(lines(gateway, 'a worker died and is replaced')).toMatchObject([{ worker: 2, how: 'SIGKILL' }]);
    const sizes = [...new Set(workers)].map((worker) => workers.filter((each) => each === worker).length);
    await expect.poll(() => sizes.includes(codes.length)).toBe(true);
    expect(new Set(codes)).toEqual(new Set([1006]));
    await expect.poll(() => gateway.metric('busgate_worker_up{worker="2"}')).toBe(1);
    await expect.poll(() => gateway.metric('busgate_sessions{transport="websocket"}')).toBe(45 - codes.length);
    const looks = counters.looks;
    await expect.poll(() => counters.looks).toBeGreaterThan(looks + 2);
    expect(counters.fallen).toEqual([]);
    await closeAll(clients);
  });

  test('one that is frozen costs its gauges, and neither the scrape nor the ops API, and is replaced when it has been silent for 10 s', async () => {
    await using gateway = await start('--workers', '2', '--ops-key', KEY);
    await served(gateway, 2);
    const operator = new Operator(gateway.ops(''));
    await expect.poll(async () => (await operator.get('/api/fleet')).body.gateways.length).toBe(2);
    for (let number = 0; number < 20; number += 1) await fetch(gateway.http('/room/r'), { method: 'POST', body: 'x', headers: { connection: 'close' } });
    await expect.poll(() => gateway.metric('busgate_publish_total')).toBe(20);
    await using counters = new Counters(gateway);
    const frozen = pidOf(gateway, 1);
    process.kill(frozen, 'SIGSTOP');
    await expect.poll(async () => (await operator.get('/api/fleet')).body.missing.length).toBe(1);
    expect(lines(gateway, 'a worker died and is replaced')).toEqual([]);
    await expect.poll(() => gateway.metric('busgate_worker_up{worker="1"}')).toBe(0);
    await expect.poll(() => gateway.metric('busgate_worker_up{worker="2"}')).toBe(1);
    await expect.poll(() => gateway.metric('busgate_publish_total')).toBe(20);
    await gateway.answers('/readyz');
    await served(gateway, 3);
    expect(lines(gateway, 'a worker died and is replaced')).toMatchObject([{ worker: 1, how: 'silent' }]);
    await goneProcess(frozen);
    await expect.poll(() => gateway.metric('busgate_worker_up{worker="1"}')).toBe(1);
    expect(counters.fallen).toEqual([]);
  });

  test('a supervisor that was stopped for longer than that replaces nobody', async () => {
    await using gateway = await start('--workers', '2');
    await served(gateway, 2);
    gateway.signal('SIGSTOP');
    await delay(11_000);
    gateway.signal('SIGCONT');
    await gateway.answers('/readyz');
    // One that did die is replaced, after the supervisor has looked at all of them.
    process.kill(pidOf(gateway, 2), 'SIGKILL');
    await served(gateway, 3);
    expect(lines(gateway, 'a worker died and is replaced')).toMatchObject([{ worker: 2, how: 'SIGKILL' }]);
  });

  test('the fifth that dies within a minute ends it with 1 and the reason, and those that are left are drained', async () => {
    await using gateway = await start('--workers', '2');
    await served(gateway, 2);
    const clients = await openMany(gateway, 30);
    for (let death = 1; death <= 5; death += 1) {
      // Its successor dies before it has served anybody.
      process.kill(lines(gateway, 'a worker starts').findLast(({ worker }) => worker === 1)?.pid ?? 0, 'SIGKILL');
      if (death < 5) await gateway.lines.until(() => lines(gateway, 'a worker starts').length === 2 + death, 'its successor');
    }
    const closes = await Promise.all(clients.map((client) => client.closed));
    expect(new Set(closes.map(({ code }) => code))).toEqual(new Set([1006, 1012]));
    expect(await gateway.exited).toEqual({ code: 1, signal: null });
    expect(lines(gateway, 'workers die too often: the gateway stops')).toMatchObject([{ how: 'SIGKILL', deaths_in_a_minute: 5 }]);
  });

  test('SIGTERM drains all of them; a second signal ends them at once', async () => {
    await using gateway = await start('--workers', '2');
    await served(gateway, 2);
    const clients = await openMany(gateway, 20);
    gateway.signal('SIGTERM');
    const closes = await Promise.all(clients.map((client) => client.closed));
    expect(closes.map(({ code }) => code)).toEqual(closes.map(() => 1012));
    expect(await gateway.exited).toEqual({ code: 0, signal: null });
    for (const client of clients) expect(client.frames.filter(({ type }) => type === 'reconnect')).toHaveLength(1);

    await using second = await start('--workers', '2', '--drain-notice', '10s');
    await served(second, 2);
    second.signal('SIGTERM');
    await second.lines.find((line) => line.includes('"message":"draining"'));
    second.signal('SIGTERM');
    expect(await second.exited).toEqual({ code: 1, signal: null });
    for (const worker of [1, 2]) await goneProcess(pidOf(second, worker));
  });

  test('those whose supervisor is killed drain, and are gone', async () => {
    await using gateway = await start('--workers', '2');
    await served(gateway, 2);
    const clients = await openMany(gateway, 10);
    await gateway.kill();
    const closes = await Promise.all(clients.map((client) => client.closed));
    expect(closes.map(({ code }) => code)).toEqual(closes.map(() => 1012));
    for (const worker of [1, 2]) await goneProcess(pidOf(gateway, worker));
  });

  test('a port that somebody has is a fault, and so is a layer that refuses: told once, with the exit code of one process', async () => {
    await using taken = await start();
    await using second = runBusgate(['--demo', '--layer', redis.url, '--workers', '2', '--port', String(taken.port), '--ops-port', '0']);
    expect((await second.exited).code).toBe(1);
    expect(second.lines.all).toEqual([expect.stringContaining(`port ${taken.port} is taken`)]);
    const stranger = redis.url.replace('//', '//stranger:secret@');
    await using refused = runBusgate(['--demo', '--layer', stranger, '--workers', '2', '--port', '0', '--ops-port', '0']);
    expect((await refused.exited).code).toBe(2);
    expect(refused.lines.all.filter((line) => line.startsWith('busgate: REFUSED'))).toHaveLength(1);
  });
});

describe.each([1, 2])('SIGHUP with %i worker(s)', (workers) => {
  test('replaces them one by one with the settings as they are now; nothing is refused, and no counter falls', async () => {
    const file = join(scratch, `busgate-${workers}.yaml`);
    const routes = (more: string): string => `demo: false\nroutes: [{path: "/room/:room", kind: room, join: anyone, publish: anyone}${more}]\n`;
    await writeFile(file, routes(''));
    const args = ['--config', file, '--host', 'localhost', '--layer', redis.url, '--workers', String(workers), ...QUICK];
    await using gateway = await startGateway({ args });
    const clients = await Promise.all(Array.from({ length: 20 }, () => Client.open(gateway.ws('/room/r'))));
    expect((await fetch(gateway.http('/new/r'), { method: 'POST', body: 'x' })).status).toBe(404);
    await using counters = new Counters(gateway);
    await using publisher = new Posts(gateway.http('/room/r'));
    await publisher.accepts(5);

    await writeFile(file, routes(', {path: "/new/:room", kind: room, join: anyone, publish: anyone}'));
    gateway.signal('SIGHUP');
    const closes = await Promise.all(clients.map((client) => client.closed));
    expect(closes.map(({ code }) => code)).toEqual(closes.map(() => 1012));
    await gateway.lines.find((line) => line.includes('all workers are replaced'));

    await publisher.accepts(5);
    expect(publisher.refused).toEqual([]);
    expect((await fetch(gateway.http('/new/r'), { method: 'POST', body: 'x' })).status).toBe(202);
    expect(counters.fallen).toEqual([]);
    await expect.poll(() => gateway.metric('busgate_draining')).toBe(0);
    await counters[Symbol.asyncDispose]();
    await publisher[Symbol.asyncDispose]();
    gateway.signal('SIGTERM');
    expect(await gateway.exited).toEqual({ code: 0, signal: null });
  });

  test('settings that are wrong, or take a restart, are refused whole', async () => {
    const file = join(scratch, `refused-${workers}.yaml`);
    await writeFile(file, 'drain: {deadline: 20s}\n');
    await using gateway = await start('--config', file, '--workers', String(workers));
    await using client = await Client.open(gateway.ws('/room/r'));
    const refused = 'the settings are refused: nothing has changed';
    await writeFile(file, 'drian: {deadline: 20s}\n');
    gateway.signal('SIGHUP');
    await gateway.lines.until(() => lines(gateway, refused).length === 1);
    await writeFile(file, 'ops: {host: "127.0.0.1"}\n');
    gateway.signal('SIGHUP');
    await gateway.lines.until(() => lines(gateway, refused).length === 2);
    expect(lines(gateway, refused).map(({ reason }) => reason)).toEqual([expect.stringContaining('drian'), expect.stringContaining('ops')]);
    client.send('still here');
    await client.until((received) => received.includes('still here'));
    await gateway.answers('/readyz');
  });
});

/** Posts one after another, each on a connection of its own, until it is disposed of. */
class Posts implements AsyncDisposable {
  readonly refused: string[] = [];
  #accepted = 0;
  #over = false;
  readonly #done: Promise<void>;

  constructor(url: string) {
    this.#done = this.#post(url);
  }

  /** Resolves when so many more were accepted. */
  async accepts(count: number): Promise<void> {
    const wanted = this.#accepted + count;
    await expect.poll(() => this.#accepted).toBeGreaterThanOrEqual(wanted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    await this.#done;
  }

  async #post(url: string): Promise<void> {
    while (!this.#over) {
      try {
        const { status } = await fetch(url, { method: 'POST', body: 'x', headers: { connection: 'close' } });
        if (status === 202) this.#accepted += 1;
        else this.refused.push(String(status));
      } catch (error) {
        this.refused.push(String((error as Error).cause));
      }
      await delay(5);
    }
  }
}

test('where a port cannot be shared, connections are handed over to the workers in turn, unread', async () => {
  const supervisor = join(import.meta.dirname, '../support/handed-supervisor.ts');
  const args = ['--demo', '--layer', redis.url, '--workers', '2', '--port', '0', '--ops-port', '0', ...QUICK];
  await using child = new Child(process.execPath, ['--conditions=@busgate/source', supervisor, ...args]);
  const started = JSON.parse(await child.lines.find((line) => line.includes('"message":"started"'))) as { port: number; ops: number };
  const gateway = {
    lines: child.lines,
    ws: (path: string) => `ws://127.0.0.1:${started.port}${path}`,
    ops: (path: string) => `http://127.0.0.1:${started.ops}${path}`,
  };
  const clients = await openMany(gateway, 20);
  const workers = workersOf(clients);
  expect([...new Set(workers)].map((worker) => workers.filter((each) => each === worker).length)).toEqual([10, 10]);
  await using counters = new Counters(gateway);
  const answer = await fetch(`http://[::1]:${started.port}/room/r`, { method: 'POST', body: 'x'.repeat(60_000) });
  expect(answer.status).toBe(202);
  child.signal('SIGHUP');
  const closes = await Promise.all(clients.map((client) => client.closed));
  expect(closes.map(({ code }) => code)).toEqual(closes.map(() => 1012));
  await child.lines.find((line) => line.includes('all workers are replaced'));
  await closeAll(await openMany(gateway, 4));
  expect(counters.fallen).toEqual([]);
  await counters[Symbol.asyncDispose]();
  child.signal('SIGTERM');
  expect(await child.exited).toEqual({ code: 0, signal: null });
});
