import { afterAll, beforeAll, expect, test } from 'vitest';
import { soak } from '../../../test/support/soak.ts';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { closeFrame, frame, RawClient, request, upgrade } from './support/raw.ts';
import { StreamClient } from './support/stream.ts';

/** A session that stays costs several thousand bytes; code that is still being compiled some hundred for each of so few times. */
const SESSION_BYTES = 2000;
/** What one request may seem to leave, of a thousand. */
const REQUEST_BYTES = 200;

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await TestGateway.start(['--heartbeat-interval', '1h', '--heartbeat-timeout', '1h'], [{ rooms: 'kept', size: 20, ageMs: 3_600_000 }]);
  for (let n = 0; n < 20; n += 1) await gateway.layer.publish('kept', JSON.stringify({ n }));
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
});

const gone = (): Promise<void> => until(() => gateway.gateway.sessions === 0, 'the session is gone');

/** What a client can do, from its beginning to its end. */
const ACTS: Readonly<Record<string, (time: number) => Promise<void>>> = {
  'a raw socket that speaks and goes': async () => {
    await using client = await RawClient.upgraded(gateway.port, '/room/raw');
    client.write(frame(1, 'hello'));
    await client.until((frames) => frames.length === 1);
    client.write(closeFrame(1000));
    await client.closed();
  },
  'a session of /socket that joins, publishes, leaves': async () => {
    await using client = await Client.multiplex(gateway.ws('/socket'));
    await client.ask({ type: 'join', room: 'r', ref: 1 });
    await client.ask({ type: 'publish', room: 'r', data: 1, ref: 2 });
    await client.ask({ type: 'leave', room: 'r', ref: 3 });
  },
  'a session that joins with what it missed, twice': async () => {
    await using client = await Client.multiplex(gateway.ws('/socket'));
    const { position } = await client.ask({ type: 'join', room: 'kept', ref: 1 });
    const since = String(position).replace(/\d+$/, '5');
    await client.ask({ type: 'join', room: 'kept', since, ref: 2 });
    await client.ask({ type: 'join', room: 'kept', since, ref: 3 });
    await client.until(() => client.frames.filter(({ type }) => type === 'message').length === 30);
  },
  'a socket that is cut off in the middle of a message': async () => {
    await using client = await RawClient.upgraded(gateway.port, '/room/raw');
    client.write(Buffer.concat([frame(1, 'x'.repeat(1000), { fin: false }), frame(9, 'ping')]));
    await client.until((frames) => frames.length === 1);
  },
  'an event stream of many rooms that is left when it has begun': async () => {
    await using stream = await StreamClient.open(gateway.port, '/socket?rooms=raw&rooms=kept&last=1');
    await stream.until(() => stream.lastId !== undefined);
  },
  'a stream of lines that is left before it has begun': async () => {
    await using client = await RawClient.connect(gateway.port);
    client.write(request('GET /room/kept?last=1 HTTP/1.1', 'Host: a', 'Accept: application/x-ndjson'));
    client.socket.resetAndDestroy();
  },
  'a poll that is left while it waits': async () => {
    const { position } = await gateway.layer.history('kept');
    await using client = await RawClient.connect(gateway.port);
    client.write(request(`GET /room/kept?poll=60&since=${position} HTTP/1.1`, 'Host: a'));
    await until(() => gateway.gateway.state.sessions.poll === 1, 'it waits');
  },
  'an upgrade that is refused': async () => {
    await using client = await RawClient.connect(gateway.port);
    client.write(upgrade('/room/..'));
    expect((await client.answer()).status).toBe(400);
  },
  'a frame that breaks the protocol': async () => {
    await using client = await RawClient.upgraded(gateway.port, '/room/raw');
    client.write(frame(3, 'x'));
    expect(await client.closeCode()).toBe(1002);
  },
};

test.each(Object.entries(ACTS))('%s leaves nothing behind', async (_, act) => {
  const one = async (time: number): Promise<void> => {
    await act(time);
    await gone();
  };
  const { state } = gateway.gateway;
  const counts = () => ({ inbound: state.inboundBytes, outbox: state.outboxBytes, queued: state.queued, rooms: state.rooms });
  const growth = await soak(one, { warmUp: 100, times: 60, counts });
  expect(growth.counts).toEqual({});
  expect(growth.bytesEach).toBeLessThan(SESSION_BYTES);
});

test('requests on one kept connection leave nothing behind', async () => {
  await using client = await RawClient.connect(gateway.port);
  const post = async (): Promise<void> => {
    client.write('POST /room/raw HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello');
    expect((await client.answer()).status).toBe(202);
  };
  const growth = await soak(post, { warmUp: 1000, times: 1000 });
  expect(growth.counts).toEqual({});
  expect(growth.bytesEach).toBeLessThan(REQUEST_BYTES);
});

test('what is left behind is seen: each kind of it', async () => {
  const kept: Buffer[] = [];
  const timers: NodeJS.Timeout[] = [];
  const growth = await soak(
    async () => {
      kept.push(Buffer.alloc(100_000));
      timers.push(setTimeout(() => undefined, 3_600_000));
      process.once('busgate:never', () => undefined);
    },
    { warmUp: 0, times: 2, counts: () => ({ kept: kept.length }) },
  );
  for (const timer of timers) clearTimeout(timer);
  process.removeAllListeners('busgate:never');
  expect(growth.counts).toEqual({ Timeout: 10, listeners: 10, kept: 10 });
  expect(growth.bytesEach).toBeGreaterThan(90_000);
});
