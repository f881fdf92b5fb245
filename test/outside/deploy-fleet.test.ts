import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Close, Publisher, post, Regular } from './support/crowd.ts';
import { docker, inspect, memoryOf, requireDocker } from './support/docker.ts';
import { Fleet, type Gateway } from './support/fleet.ts';
import { until } from '../support/until.ts';

const RAW = 240;
const MULTIPLEX = 60;
/** Clients that do not read. */
const READERS = 12;
const MEMORY = 512 * 1024 * 1024;
/** The fewest that a gateway may have of the clients, were they spread by chance and drains. */
const LEAST = (RAW + MULTIPLEX) / 6;

let fleet: Fleet;
let gateways: Gateway[];
let origin: string;
let clients: Regular[];
let multiplex: Regular[];
let markers = 0;

beforeAll(async () => {
  await requireDocker();
  fleet = await Fleet.prepare();
  await fleet.up();
  gateways = await fleet.gateways();
  origin = await fleet.origin();
  multiplex = Array.from({ length: MULTIPLEX }, () => new Regular(origin, 'fleet', 'multiplex'));
  clients = [...multiplex, ...Array.from({ length: RAW }, () => new Regular(origin, 'fleet', 'raw'))];
  await everybodyIsThere();
});

afterAll(async () => {
  for (const client of clients ?? []) client.leave();
  await fleet?.[Symbol.asyncDispose]();
});

/** Every client is in the room, and the gateways count as many sessions. */
async function everybodyIsThere(): Promise<void> {
  await until(
    'all clients are in the room',
    () => clients.filter(({ joined }) => !joined).length,
    (away) => away === 0,
  );
  await until(
    'the gateways count them',
    async () => sum(await sessions()),
    (count) => count === clients.length,
  );
}

function sessions(): Promise<number[]> {
  return Promise.all(gateways.map((gateway) => gateway.metric('busgate_sessions')));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** A message that everybody gets: what was on its way before it has arrived too. */
async function everybodyHears(): Promise<void> {
  markers += 1;
  const marker = `marker-${markers}`;
  await until(
    'the fleet takes a message',
    () => post(`http://${origin}/room/fleet`, marker),
    (status) => status === 202,
  );
  await until(
    `all clients have ${marker}`,
    () => clients.filter(({ messages }) => !messages.includes(marker)).length,
    (deaf) => deaf === 0,
  );
}

/** A backend publishes burst after burst of large messages, until it is disposed of: more than an outbox and the kernel hold, long before a ping is due. */
function flood(): AsyncDisposable {
  let over = false;
  const burst = "for _ = 1, 8 do redis.call('PUBLISH', 'busgate:room:slow', string.rep('x', 1000000)) end";
  const publish = async (): Promise<void> => {
    while (!over) await fleet.project.run('exec', '-T', 'redis', 'redis-cli', 'EVAL', burst, '0');
  };
  const done = publish();
  return {
    async [Symbol.asyncDispose]() {
      over = true;
      await done;
    },
  };
}

/** Closes of all clients from now on. */
function watchCloses(): () => Close[] {
  const before = clients.map(({ closes }) => closes.length);
  return () => clients.flatMap(({ closes }, index) => closes.slice(before[index]));
}

/** Who has not been closed since. */
function watchStayers(): () => Regular[] {
  const before = clients.map(({ closes }) => closes.length);
  return () => clients.filter(({ closes }, index) => closes.length === before[index]);
}

/** How many gaps each multiplex client has been told since. */
function watchGaps(): () => number[] {
  const before = multiplex.map(({ gaps }) => gaps);
  return () => multiplex.map(({ gaps }, index) => gaps - (before[index] ?? 0));
}

describe('a fleet of three behind HAProxy', () => {
  test('is as hardened as it says, and open on loopback only', async () => {
    for (const service of ['gateway', 'haproxy', 'redis']) {
      for (const container of await fleet.project.containers(service)) {
        const { HostConfig } = await inspect(container);
        expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ['ALL'] });
        const addresses = Object.values(HostConfig.PortBindings).flatMap((bindings) => bindings.map(({ HostIp }) => HostIp));
        expect(addresses.filter((address) => address !== '127.0.0.1')).toEqual([]);
      }
    }
  });

  test('has the clients spread over all gateways', async () => {
    expect(gateways).toHaveLength(3);
    expect((await sessions()).filter((count) => count < LEAST)).toEqual([]);
    await everybodyHears();
  });

  test.each([0, 1, 2])('survives the restart of gateway %i under load', async (index) => {
    const gateway = gateways[index] as Gateway;
    const held = await gateway.metric('busgate_sessions');
    const closes = watchCloses();
    const stayers = watchStayers();
    const publisher = new Publisher(origin, 'fleet', `restart-${index}`, 20);

    await docker('restart', gateway.container);

    await gateway.reaches('busgate_layer_up', (up) => up === 1);
    await everybodyIsThere();
    await publisher.stop();
    await everybodyHears();

    expect(closes().map(({ code }) => code)).toEqual(Array.from({ length: held }, () => 1012));
    expect(middleHalf(closes())).toBeGreaterThan(1000);
    expect(publisher.accepted.length).toBeGreaterThan(20);
    expect(stayers()).toHaveLength(clients.length - held);
    const lost = stayers().filter(({ messages }) => !inOrder(publisher.accepted, messages));
    expect(lost).toHaveLength(0);
    // The load balancer had noticed before the gateway began to refuse.
    expect(publisher.refused).toEqual([]);
  });

  test('is whole again when all gateways restart at once', async () => {
    const closes = watchCloses();
    await fleet.project.run('restart', 'gateway');
    await everybodyIsThere();
    await everybodyHears();
    expect(closes().length).toBeGreaterThanOrEqual(clients.length);
    expect(new Set(closes().map(({ code }) => code))).toEqual(new Set([1012]));
  });

  test('keeps every session while Redis is paused, refuses to publish, tells one gap, and hears again', async () => {
    const closes = watchCloses();
    const gaps = watchGaps();
    // A container cannot be frozen at the moment in which its health is looked at.
    await until(
      'Redis stands still',
      () => fleet.project.run('pause', 'redis'),
      () => true,
    );
    // Before a gateway knows that Redis stands still, what was on its way may have been published or not.
    expect([503, 504]).toContain(await post(`http://${origin}/room/fleet`, 'into the pause'));
    await Promise.all(gateways.map((gateway) => gateway.reaches('busgate_layer_up', (up) => up === 0)));
    expect(await post(`http://${origin}/room/fleet`, 'into the pause')).toBe(503);
    await fleet.project.run('unpause', 'redis');
    await Promise.all(gateways.map((gateway) => gateway.reaches('busgate_layer_up', (up) => up === 1)));
    await everybodyHears();
    expect(gaps()).toEqual(multiplex.map(() => 1));
    expect(closes()).toEqual([]);
  });

  test('keeps every session when Redis is killed, stays ready, refuses to publish, and tells one gap', async () => {
    const closes = watchCloses();
    const gaps = watchGaps();
    await fleet.project.run('kill', 'redis');
    await Promise.all(gateways.map((gateway) => gateway.reaches('busgate_layer_up', (up) => up === 0)));
    expect(await post(`http://${origin}/room/fleet`, 'to nobody')).toBe(503);
    expect(await Promise.all(gateways.map(async (gateway) => (await gateway.ops('/readyz')).status))).toEqual([200, 200, 200]);
    await fleet.project.run('start', 'redis');
    await Promise.all(gateways.map((gateway) => gateway.reaches('busgate_layer_up', (up) => up === 1)));
    await everybodyHears();
    expect(gaps()).toEqual(multiplex.map(() => 1));
    expect(closes()).toEqual([]);
  });

  test('goes on when one gateway is cut off from the broker, and has it back', async () => {
    const [cut, ...others] = gateways as [Gateway, ...Gateway[]];
    const network = `${fleet.project.name}_back`;
    const closes = watchCloses();
    const held = await cut.metric('busgate_sessions');

    await docker('network', 'disconnect', network, cut.container);
    await cut.reaches('busgate_layer_up', (up) => up === 0);
    expect(await Promise.all(others.map((gateway) => gateway.metric('busgate_layer_up')))).toEqual([1, 1]);
    await until(
      'the others take a message',
      () => post(`http://${origin}/room/fleet`, 'to two of three'),
      (status) => status === 202,
    );
    await until(
      'theirs have it',
      () => clients.filter(({ messages }) => messages.includes('to two of three')).length,
      (heard) => heard === clients.length - held,
    );

    await docker('network', 'connect', '--alias', 'gateway', network, cut.container);
    await cut.reaches('busgate_layer_up', (up) => up === 1);
    await everybodyHears();
    expect(clients.filter(({ messages }) => messages.includes('to two of three'))).toHaveLength(clients.length - held);
    expect(closes()).toEqual([]);
  });

  test('holds its memory when readers do not read', async () => {
    const readers = Array.from({ length: READERS }, () => new Regular(origin, 'slow', 'raw'));
    await until(
      'they are in the room',
      () => readers.filter(({ joined }) => !joined).length,
      (away) => away === 0,
    );
    for (const reader of readers) reader.pause();
    const closed = async (code: string): Promise<number> =>
      sum(await Promise.all(gateways.map((gateway) => gateway.metric('busgate_closes_total', `code="${code}"`))));
    const before = await closed('1013');
    await using _flood = flood();
    // One that has not filled its outbox by then is ended for the ping that it does not answer, within 35 s.
    await until(
      'most of them are closed as too slow',
      () => closed('1013'),
      (count) => count - before > READERS / 2,
    );
    await until(
      'none of them is left',
      async () => sum(await sessions()),
      (count) => count === clients.length,
    );
    for (const reader of readers) reader.leave();
    for (const { container } of gateways) {
      const { HostConfig, State, RestartCount } = await inspect(container);
      expect({ limit: HostConfig.Memory, killed: State.OOMKilled, restarts: RestartCount }).toEqual({ limit: MEMORY, killed: false, restarts: 0 });
      expect(await memoryOf(container)).toBeLessThan(MEMORY / 2);
    }
  });

  test('balances its metrics when it is quiet', async () => {
    await everybodyHears();
    for (const gateway of gateways) {
      const rest = await until(
        `${gateway.container} balances`,
        async () => {
          const parts = await Promise.all(['sent_total', 'dropped_total', 'queued'].map((name) => gateway.metric(`busgate_deliveries_${name}`)));
          return (await gateway.metric('busgate_deliveries_due_total')) - sum(parts);
        },
        (left) => left === 0,
      );
      expect(rest).toBe(0);
    }
  });

  test('drains when it is stopped: every client is told, every gateway exits with 0', async () => {
    const closes = watchCloses();
    for (const client of clients) client.leaveWhenClosed();
    await fleet.project.run('stop', 'gateway');
    for (const { container } of gateways) {
      expect((await inspect(container)).State).toMatchObject({ Status: 'exited', ExitCode: 0, OOMKilled: false });
    }
    await until(
      'all clients know',
      () => closes().length,
      (count) => count === clients.length,
    );
    expect(new Set(closes().map(({ code }) => code))).toEqual(new Set([1012]));
  });
});

/** In how many milliseconds the middle half of the closes came: about half of all the time of closing, also where a process was held up for a moment. */
function middleHalf(closes: readonly Close[]): number {
  const times = closes.map(({ at }) => at).toSorted((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? 0;
  return at(0.75) - at(0.25);
}

/** Whether all of `expected` are among `messages`, once each and in their order. */
function inOrder(expected: readonly string[], messages: readonly string[]): boolean {
  const wanted = new Set(expected);
  const got = messages.filter((message) => wanted.has(message));
  return got.length === expected.length && got.every((message, index) => message === expected[index]);
}
