import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TestGateway, until } from '../../gateway/test/support/gateway.ts';
import { type Bus, type BusError, type BusState, connect, type ConnectOptions, type Room } from '../src/index.ts';
import { FaultProxy } from '../../../test/support/fault-proxy.ts';

const KEPT = [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }];
const QUICK = { every: 100, timeout: 200 };

let gateway: TestGateway;
/** What its layer is called. */
let fleet: string;
let proxy: FaultProxy;
const buses = new Set<Bus>();

beforeEach(async () => {
  fleet = crypto.randomUUID();
  gateway = await TestGateway.start(['--drain-notice', '0s', '--drain-deadline', '5s'], KEPT, fleet);
  proxy = await FaultProxy.start(gateway.port);
});

afterEach(async () => {
  for (const bus of buses) bus.close();
  buses.clear();
  await proxy[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

function open(options: ConnectOptions = {}, port = proxy.port): Bus {
  const bus = connect(`http://127.0.0.1:${port}/socket`, { transports: ['websocket'], ...options });
  buses.add(bus);
  return bus;
}

/** Everything that a room gives, as it comes. */
function record(room: Room): { data: unknown[]; gaps: number } {
  const seen = { data: [] as unknown[], gaps: 0 };
  room.on('message', ({ data }) => seen.data.push(data));
  room.on('gap', () => (seen.gaps += 1));
  return seen;
}

const joined = (...rooms: Room[]): Promise<void> => until(() => rooms.every(({ state }) => state === 'joined'), 'joined');

describe('a bus over WebSocket', () => {
  test('opens, joins, gives messages of every kind, publishes and leaves', async () => {
    const bus = open();
    const room = bus.join('r');
    const seen: unknown[] = [];
    room.on('message', (message) => seen.push([message.data, message.text, [...message.bytes], message.position]));
    await bus.ready;
    await joined(room);
    expect([bus.state, bus.transport]).toEqual(['open', 'websocket']);
    expect(await room.publish({ text: 'hi' })).toEqual({ position: undefined });
    await gateway.layer.publish('r', 'plain');
    await gateway.layer.publish('r', Uint8Array.from([0, 255]));
    await room.publish(Uint8Array.from([1, 254]));
    await room.publish(null);
    await until(() => seen.length === 5, 'all five');
    const bytes = (text: string): number[] => [...new TextEncoder().encode(text)];
    expect(seen).toEqual([
      [{ text: 'hi' }, '{"text":"hi"}', bytes('{"text":"hi"}'), undefined],
      ['plain', 'plain', bytes('plain'), undefined],
      [Uint8Array.from([0, 255]), '\0\uFFFD', [0, 255], undefined],
      [Uint8Array.from([1, 254]), '\u0001\uFFFD', [1, 254], undefined],
      [null, 'null', bytes('null'), undefined],
    ]);
    room.leave();
    expect(room.state).toBe('left');
    await until(() => gateway.gateway.state.rooms === 0, 'nobody in the room');
  });

  test('gives a loop the messages in order, from the join on, and ends it with the room', async () => {
    const bus = open();
    const room = bus.join<number>('kept.1');
    for (let n = 0; n < 50; n += 1) void room.publish(n);
    await joined(room);
    await room.publish('last');
    const seen: unknown[] = [];
    for await (const { data, position } of room) {
      seen.push(data);
      expect(position).toMatch(/^\S+:\d+$/);
      if (seen.length === 51) room.leave();
    }
    expect(seen).toEqual([...Array(50).keys(), 'last']);
  });

  test('rejects what the gateway refuses with its code', async () => {
    const bus = open();
    const room = bus.join('r');
    await expect(room.publish('x'.repeat(70_000))).rejects.toMatchObject({ name: 'BusError', code: 'too_large' });
    await expect(room.publish(undefined)).rejects.toThrow(TypeError);
    const bad = bus.join('a..b');
    const ended = (async () => {
      for await (const _ of bad);
    })();
    await expect(ended).rejects.toMatchObject({ code: 'bad_room' });
    expect([bad.state, bad.error?.code]).toEqual(['left', 'bad_room']);
  });

  test('two handles of a room share it, and it is left with the last of them', async () => {
    const bus = open();
    const [one, other] = [bus.join('r'), bus.join('r')];
    const [first, second] = [record(one), record(other)];
    await joined(one, other);
    await gateway.layer.publish('r', '1');
    await until(() => first.data.length + second.data.length === 2, 'both');
    one.leave();
    await gateway.layer.publish('r', '2');
    await until(() => second.data.length === 2, 'the other one');
    expect([first.data, second.data]).toEqual([[1], [1, 2]]);
  });

  test('close leaves everything, and is the last that is told', async () => {
    const bus = open();
    const states: BusState[] = [];
    bus.on('state', (state) => states.push(state));
    const room = bus.join('r');
    const loop = (async () => {
      for await (const _ of room);
      return 'over';
    })();
    await joined(room);
    bus.close();
    expect(await loop).toBe('over');
    await expect(room.publish(1)).rejects.toMatchObject({ code: 'closed' });
    expect([states, room.state, room.error]).toEqual([['open', 'closed'], 'left', undefined]);
    expect(bus.join('later').state).toBe('left');
  });
});

describe('a bad network', () => {
  test('a cut connection comes back, and rooms with history lose nothing', async () => {
    const bus = open();
    const [kept, live] = [bus.join('kept.1'), bus.join('live')];
    const [keptSeen, liveSeen] = [record(kept), record(live)];
    await joined(kept, live);
    for (let cut = 0; cut < 3; cut += 1) {
      await gateway.layer.publish('kept.1', `${cut}`);
      proxy.cut();
      await gateway.layer.publish('kept.1', `"${cut} away"`);
      await until(() => keptSeen.data.length === 2 * (cut + 1) && bus.state === 'open', 'what was missed');
    }
    await joined(kept, live);
    await gateway.layer.publish('live', '"marker"');
    await until(() => liveSeen.data.length === 1, 'the marker');
    expect(keptSeen).toEqual({ data: [0, '0 away', 1, '1 away', 2, '2 away'], gaps: 0 });
    expect(liveSeen).toEqual({ data: ['marker'], gaps: 3 });
  });

  test('a link that is dead without a word is noticed and replaced', async () => {
    const bus = open({ heartbeat: QUICK });
    const kept = bus.join('kept.1');
    const seen = record(kept);
    await joined(kept);
    proxy.freeze();
    await gateway.layer.publish('kept.1', '1');
    await until(() => bus.state !== 'open', 'noticed');
    proxy.thawNew();
    await until(() => seen.data.length === 1, 'what was missed');
    expect(seen).toEqual({ data: [1], gaps: 0 });
  });

  test('a quiet link that lives is kept', async () => {
    const bus = open({ heartbeat: QUICK });
    const states: BusState[] = [];
    await bus.ready;
    bus.on('state', (state) => states.push(state));
    const before = gateway.gateway.counters.errorFrames;
    // Several heartbeats of the client: nothing else happens.
    const sent = proxy.sent;
    await until(() => proxy.sent >= sent + 5, 'five heartbeats');
    expect([bus.state, states, proxy.accepted, gateway.gateway.counters.errorFrames]).toEqual(['open', [], 1, before]);
  });

  test('what cannot be reached is tried until it can, and publishes wait', async () => {
    proxy.isDown = true;
    const bus = open();
    const published = bus.join('r').publish(1);
    await until(() => proxy.accepted >= 3, 'three attempts');
    proxy.isDown = false;
    await published;
    expect(bus.state).toBe('open');
  });

  test('a publish whose answer is lost is unknown', async () => {
    const bus = open();
    const room = bus.join('kept.1');
    await joined(room);
    proxy.freeze();
    const outcome = room.publish('bare').catch((error: unknown) => (error as BusError).code);
    proxy.cut();
    proxy.thawNew();
    expect(await outcome).toBe('unknown');
    await until(() => bus.state === 'open', 'open again');
  });

  test('a gateway that drains is left before it closes, and no message is missed or seen twice', async () => {
    await using other = await TestGateway.start([], KEPT, fleet);
    const bus = open();
    const kept = bus.join('kept.1');
    const seen = record(kept);
    const states: BusState[] = [];
    await joined(kept);
    bus.on('state', (state) => states.push(state));
    proxy.target = other.port;
    const drained = gateway.gateway.drain({ notice: false });
    let isOver = false;
    void drained.then(() => (isOver = true));
    for (let n = 0; !isOver; n += 1) {
      await other.layer.publish('kept.1', `${n}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await other.layer.publish('kept.1', '"end"');
    await until(() => seen.data.at(-1) === 'end', 'everything');
    expect(seen.data).toEqual([...Array(seen.data.length - 1).keys(), 'end']);
    expect([seen.gaps, states]).toEqual([0, []]);
  });
});

describe('a handshake that is refused', () => {
  /** A server that answers everything with this status. */
  async function refusing(status: number, headers: Record<string, string> = {}): Promise<{ port: number; asked: () => number; close: () => void }> {
    let asked = 0;
    const server = createServer((_, response) => {
      asked += 1;
      response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end('{"error":"why"}');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { port: (server.address() as { port: number }).port, asked: () => asked, close: () => server.close() };
  }

  test.each([
    [404, 'no_route'],
    [403, 'not_allowed'],
  ])('with %i is for ever: ready rejects, and rooms say why', async (status, code) => {
    const server = await refusing(status);
    const bus = open({}, server.port);
    const room = bus.join('r');
    const publish = room.publish(1);
    await expect(bus.ready).rejects.toMatchObject({ name: 'BusError', code });
    await expect(publish).rejects.toMatchObject({ code });
    expect([bus.state, room.state, room.error?.code]).toEqual(['closed', 'left', code]);
    server.close();
  });

  test('with 503 waits as long as it is told', async () => {
    const server = await refusing(503, { 'Retry-After': '60' });
    const bus = open({}, server.port);
    const after = await new Promise((resolve) => bus.on('state', (state, detail) => state === 'waiting' && resolve(detail.after)));
    expect(after).toBeGreaterThanOrEqual(60_000);
    server.close();
  });

  test('with 401 asks for another token', async () => {
    const server = await refusing(401);
    let tokens = 0;
    const bus = open({ token: async () => `token${(tokens += 1)}` }, server.port);
    await until(() => tokens >= 3, 'three tokens');
    bus.close();
    const fixed = open({ token: 'one' }, server.port);
    await expect(fixed.ready).rejects.toMatchObject({ code: 'expired' });
    server.close();
  });
});

test('a token goes beside the protocol, which the gateway answers', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bus = open({ token: 'a.b.c' }, (server.address() as { port: number }).port);
  const [request, socket] = (await once(server, 'upgrade')) as [IncomingMessage, Socket];
  expect(request.headers['sec-websocket-protocol']).toBe('busgate.v1, busgate.token.a.b.c');
  bus.close();
  socket.destroy();
  server.close();
});

test('what cannot be meant is refused at once', () => {
  expect(() => connect('ftp://x/socket')).toThrow(TypeError);
  expect(() => connect('http://x/socket', { transports: [] })).toThrow(TypeError);
  expect(() => connect('http://x/socket', { heartbeat: { every: 2, timeout: 1 } })).toThrow(TypeError);
  for (const every of [0, -1, Number.NaN]) expect(() => connect('http://x/socket', { heartbeat: { every } }), `every ${every}`).toThrow(TypeError);
  for (const buffer of [0, -1, Number.NaN]) expect(() => connect('http://x/socket', { buffer }), `buffer ${buffer}`).toThrow(TypeError);
});
