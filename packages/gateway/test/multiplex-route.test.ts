import { LayerError } from '@busgate/layer';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';

let gateway: TestGateway;

beforeEach(async () => {
  gateway = await TestGateway.start(['--limits-rooms', '3'], [{ rooms: 'kept.>', size: 5, ageMs: 60_000 }]);
});

afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

const open = (): Promise<Client> => Client.multiplex(gateway.ws('/socket'));

describe('/socket', () => {
  test('welcomes, joins, publishes, leaves, and answers in order', async () => {
    await using client = await open();
    expect(client.frames[0]).toEqual({ type: 'welcome', session: expect.stringMatching(/^\S{8,}$/), heartbeat: 25 });
    client.send({ type: 'join', room: 'r', ref: 1 });
    client.send({ type: 'publish', room: 'r', data: { n: 1 }, ref: 2 });
    client.send({ type: 'ping' });
    client.send({ type: 'leave', room: 'r', ref: 3 });
    client.send({ type: 'leave', room: 'r', ref: 4 });
    await client.until(() => client.frames.some(({ ref }) => ref === 4));
    const answers = client.frames.slice(1).filter(({ type }) => type !== 'message');
    expect(answers).toEqual([
      { type: 'joined', room: 'r', ref: 1 },
      { type: 'published', room: 'r', ref: 2 },
      { type: 'pong' },
      { type: 'left', room: 'r', ref: 3 },
      { type: 'error', code: 'not_joined', message: expect.any(String), ref: 4 },
    ]);
  });

  test('gives messages as data, text or base64, and publishes what was sent, to the byte', async () => {
    await using raw = await Client.open(gateway.ws('/room/r'));
    await using client = await open();
    await client.ask({ type: 'join', room: 'r', ref: 1 });
    client.send('{"type":"publish","room":"r","data": {"n": 1.0,"s":"\\u00e9"} }');
    client.send({ type: 'publish', room: 'r', text: 'plain' });
    client.send({ type: 'publish', room: 'r', base64: 'AP8=' });
    await Promise.all([raw.until(() => raw.received.length === 3), client.until(() => client.frames.filter(({ type }) => type === 'message').length === 3)]);
    expect(raw.received).toEqual([String.raw`{"n": 1.0,"s":"\u00e9"}`, 'plain', Buffer.from([0, 0xff])]);
    expect(client.received.filter((text) => String(text).startsWith('{"type":"message"'))).toEqual([
      String.raw`{"type":"message","room":"r","data":{"n": 1.0,"s":"\u00e9"}}`,
      '{"type":"message","room":"r","text":"plain"}',
      '{"type":"message","room":"r","base64":"AP8="}',
    ]);
  });

  test('rooms named like members of every object are rooms like any other', async () => {
    await using client = await open();
    for (const room of ['hasOwnProperty', 'constructor', 'toString']) {
      expect(await client.ask({ type: 'join', room, ref: room })).toEqual({ type: 'joined', room, ref: room });
      await gateway.layer.publish(room, '1');
      await client.until(() => client.frames.some((frame) => frame['type'] === 'message' && frame['room'] === room));
      await client.ask({ type: 'leave', room, ref: `${room} left` });
    }
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
  });

  test('a session is in at most limits.rooms rooms, and a second join of one is no room more', async () => {
    await using client = await open();
    for (const room of ['a', 'b', 'c', 'a']) expect((await client.ask({ type: 'join', room, ref: Math.random() }))['type']).toBe('joined');
    expect(await client.ask({ type: 'join', room: 'd', ref: 'x' })).toMatchObject({ type: 'error', code: 'rate' });
    await client.ask({ type: 'leave', room: 'a', ref: 'l' });
    expect((await client.ask({ type: 'join', room: 'd', ref: 'y' }))['type']).toBe('joined');
    await gateway.layer.publish('b', '1');
    await client.until(() => client.frames.some(({ type }) => type === 'message'));
    expect(gateway.balance()).toEqual({ due: 1, sent: 1, dropped: 0, queued: 0 });
  });

  test('the 20th error of a minute is answered, then the session is closed with 1008', async () => {
    await using client = await open();
    for (let count = 0; count < 25; count += 1) client.send('nope');
    expect(await client.closed()).toBe(1008);
    expect(client.frames.filter(({ type, code }) => type === 'error' && code === 'bad_json').length).toBe(20);
    expect(gateway.gateway.counters.errorFrames).toBe(20);
  });

  test('too large a payload is an error of its own', async () => {
    await using client = await open();
    expect(await client.ask({ type: 'publish', room: 'r', text: 'x'.repeat(65_537), ref: 1 })).toMatchObject({ code: 'too_large' });
    expect(await client.ask({ type: 'publish', room: 'r', text: 'x'.repeat(65_536), ref: 2 })).toMatchObject({ type: 'published' });
  });

  test.each([
    ['LAYER_AWAY', 'away'],
    ['OUTCOME_UNKNOWN', 'unknown'],
    ['TIMEOUT', 'unknown'],
    ['INVALID_NAME', 'bad_room'],
    ['UNSUPPORTED', 'no_history'],
  ] as const)('a publish that fails with %s is told as %s', async (failure, code) => {
    await using client = await open();
    vi.spyOn(gateway.layer, 'publish').mockRejectedValueOnce(new LayerError(failure, 'so it is'));
    expect(await client.ask({ type: 'publish', room: 'r', data: 1, ref: 1 })).toMatchObject({ type: 'error', code });
    expect(await client.ask({ type: 'publish', room: 'r', data: 1, ref: 2 })).toMatchObject({ type: 'published' });
  });

  test('a fault of ours ends the session with 1011', async () => {
    await using client = await open();
    vi.spyOn(gateway.layer, 'publish').mockRejectedValueOnce(new Error('a bug'));
    client.send({ type: 'publish', room: 'r', data: 1 });
    expect(await client.closed()).toBe(1011);
  });

  test('rooms that begin with _ are the gateway’s own: clients may neither join nor publish there', async () => {
    await using client = await open();
    expect(await client.ask({ type: 'join', room: '_worker.app', ref: 1 })).toMatchObject({ type: 'error', code: 'not_allowed' });
    expect(await client.ask({ type: 'publish', room: '_worker.app', data: 1, ref: 2 })).toMatchObject({ type: 'error', code: 'not_allowed' });
    const posted = await fetch(gateway.http('/room/_worker.app'), { method: 'POST', body: '{"state":"working"}' });
    expect([posted.status, await posted.json()]).toMatchObject([403, { error: 'not_allowed' }]);
    await expect(Client.open(gateway.ws('/room/_worker.app'))).rejects.toThrow('403');
  });

  test('join and publish: nobody are told as not_allowed', async () => {
    await gateway[Symbol.asyncDispose]();
    gateway = await TestGateway.start(['--routes', JSON.stringify([{ path: '/socket', kind: 'multiplex', join: 'nobody', publish: 'nobody' }])]);
    await using client = await open();
    expect(await client.ask({ type: 'join', room: 'r', ref: 1 })).toMatchObject({ type: 'error', code: 'not_allowed' });
    expect(await client.ask({ type: 'publish', room: 'r', data: 1, ref: 2 })).toMatchObject({ type: 'error', code: 'not_allowed' });
  });
});

describe('a room with history', () => {
  test('tells positions, and replays what was missed', async () => {
    await using ann = await open();
    await using ben = await open();
    const first = await ann.ask({ type: 'join', room: 'kept.1', ref: 'join' });
    expect(first).toEqual({ type: 'joined', room: 'kept.1', ref: 'join', position: expect.stringMatching(/:0$/) });
    const positions: string[] = [];
    for (let n = 1; n <= 3; n += 1) positions.push(String((await ann.ask({ type: 'publish', room: 'kept.1', data: n, ref: n }))['position']));
    expect(await ben.ask({ type: 'join', room: 'kept.1', ref: 1, since: positions[0] })).toEqual({
      type: 'joined',
      room: 'kept.1',
      ref: 1,
      position: positions[0],
      recovered: true,
    });
    await ann.ask({ type: 'publish', room: 'kept.1', data: 4, ref: 4 });
    await ben.until(() => ben.frames.filter(({ type }) => type === 'message').length === 3);
    expect(ben.frames.filter(({ type }) => type === 'message').map(({ data, position }) => [data, String(position).split(':')[1]])).toEqual([
      [2, '2'],
      [3, '3'],
      [4, '4'],
    ]);
  });

  test('a position that is too old or of another epoch is answered by recovered: false and a gap', async () => {
    await using client = await open();
    for (let n = 1; n <= 8; n += 1) await client.ask({ type: 'publish', room: 'kept.2', data: n, ref: n });
    const epoch = String(client.frames.at(-1)?.['position']).split(':')[0];
    for (const [ref, since] of [
      ['old', `${epoch}:1`],
      ['other', 'another:7'],
    ] as const) {
      const joined = await client.ask({ type: 'join', room: 'kept.2', ref, since });
      expect(joined).toEqual({ type: 'joined', room: 'kept.2', ref, position: `${epoch}:8`, recovered: false });
      await client.until(() => client.frames.at(-1)?.['type'] === 'gap');
      expect(client.frames.at(-1)).toEqual({ type: 'gap', room: 'kept.2', after: expect.any(Number) });
      await client.ask({ type: 'leave', room: 'kept.2', ref: `${ref} left` });
    }
  });

  describe('a long replay', () => {
    const KIB = 1024;
    const TOTAL = 800;
    let long: TestGateway;
    let since: string;

    beforeEach(async () => {
      long = await TestGateway.start([], [{ rooms: '>', size: TOTAL, ageMs: 60_000 }]);
      const padding = 'x'.repeat(16 * KIB);
      for (let n = 1; n <= TOTAL; n += 1) {
        const { position } = await long.layer.publish('long', JSON.stringify([n, padding]));
        if (n === 1) since = String(position).replace(':1', ':0');
      }
    });

    afterEach(async () => {
      await long[Symbol.asyncDispose]();
    });

    const numbers = (frames: readonly Record<string, unknown>[]): unknown[] =>
      frames.filter(({ type }) => type === 'message').map(({ data }) => (data as unknown[])[0]);

    test('waits for its reader in the history, a piece at a time, and is whole and in order', async () => {
      await using client = await Client.multiplex(long.ws('/socket'));
      client.socket.pause();
      client.send({ type: 'join', room: 'long', since });
      await until(() => long.gateway.state.outboxBytes > 0, 'the kernel takes no more');
      let most = 0;
      for (let live = 1; live <= 50; live += 1) {
        await long.layer.publish('long', JSON.stringify([TOTAL + live]));
        await new Promise((resolve) => setImmediate(resolve));
        most = Math.max(most, long.gateway.state.outboxBytes);
      }
      expect(most).toBeLessThan(600 * KIB);
      client.socket.resume();
      // What was published meanwhile took the place of the oldest, which had been sent by then or not: without a gap all of it has come.
      await client.until(() => client.received.length === TOTAL + 52);
      const frames = client.frames.filter(({ type }) => type !== 'welcome');
      expect(frames[0]).toMatchObject({ type: 'joined', position: since, recovered: true });
      expect(frames.filter(({ type }) => type === 'gap')).toEqual([]);
      expect(numbers(frames)).toEqual(Array.from({ length: TOTAL + 50 }, (_, index) => index + 1));
      expect(long.balance()).toMatchObject({ dropped: 0, queued: 0 });
    });

    test('whose rest cannot be had goes on live after a gap', async () => {
      await using client = await Client.multiplex(long.ws('/socket'));
      const read = long.layer.history.bind(long.layer);
      let reads = 0;
      vi.spyOn(long.layer, 'history').mockImplementation((...asked) => {
        reads += 1;
        return reads < 3 ? read(...asked) : Promise.reject(new LayerError('LAYER_AWAY', 'gone'));
      });
      client.send({ type: 'join', room: 'long', since });
      await client.until(() => client.frames.at(-1)?.['type'] === 'gap');
      await long.layer.publish('long', JSON.stringify(['live']));
      await client.until(() => numbers(client.frames).at(-1) === 'live');
      const had = numbers(client.frames).slice(0, -1);
      expect(had.length).toBeGreaterThan(0);
      expect(had).toEqual(Array.from({ length: had.length }, (_, index) => index + 1));
    });

    test('ends with its reader, and the room is let go', async () => {
      await using client = await Client.multiplex(long.ws('/socket'));
      client.socket.pause();
      client.send({ type: 'join', room: 'long', since });
      await until(() => long.gateway.state.outboxBytes > 0, 'the kernel takes no more');
      client.socket.terminate();
      await until(() => long.gateway.sessions === 0, 'it is gone');
      await using other = await Client.multiplex(long.ws('/socket'));
      expect(await other.ask({ type: 'join', room: 'long', ref: 1 })).toMatchObject({ type: 'joined' });
      expect(long.gateway.state.rooms).toBe(1);
    });
  });

  test('a join anew that fails leaves the session in the room, where it misses nothing', async () => {
    await using client = await open();
    const { position } = await client.ask({ type: 'join', room: 'kept.3', ref: 1 });
    vi.spyOn(gateway.layer, 'subscribe').mockRejectedValueOnce(new LayerError('TIMEOUT', 'no answer'));
    expect(await client.ask({ type: 'join', room: 'kept.3', ref: 2, since: position })).toMatchObject({ type: 'error', code: 'away' });
    await gateway.layer.publish('kept.3', '1');
    await client.until(() => client.frames.at(-1)?.['type'] === 'message');
    expect(await client.ask({ type: 'join', room: 'kept.3', ref: 3, since: position })).toMatchObject({ type: 'joined', recovered: true });
    await client.until(() => client.frames.at(-1)?.['type'] === 'message');
    await gateway.layer.publish('kept.3', '2');
    await client.until(() => client.frames.at(-1)?.['data'] === 2);
    expect(client.frames.filter(({ type }) => type === 'message').map(({ data }) => data)).toEqual([1, 1, 2]);
  });

  test('without history a since is answered by recovered: false and a gap', async () => {
    await using client = await open();
    expect(await client.ask({ type: 'join', room: 'live', ref: 1, since: 'e:1' })).toEqual({ type: 'joined', room: 'live', ref: 1, recovered: false });
    await client.until(() => client.frames.at(-1)?.['type'] === 'gap');
    await gateway.layer.publish('live', '1');
    await client.until(() => client.frames.at(-1)?.['type'] === 'message');
    expect(client.frames.at(-1)).toEqual({ type: 'message', room: 'live', data: 1 });
  });

  test('joins with since in the middle of a burst miss nothing and have nothing twice', async () => {
    await using large = await TestGateway.start([], [{ rooms: '>', size: 100_000, ageMs: 60_000 }]);
    await using publisher = await Client.multiplex(large.ws('/socket'));
    await using client = await Client.multiplex(large.ws('/socket'));
    const total = 3000;
    for (let n = 1; n <= total; n += 1) publisher.send({ type: 'publish', room: 'r', data: n });
    const seen: number[] = [];
    let read = 0;
    const collect = (): void => {
      for (; read < client.received.length; read += 1) {
        const frame = JSON.parse(String(client.received[read])) as Record<string, unknown>;
        if (frame['type'] === 'message') seen.push(Number(frame['data']));
      }
    };
    const start = await client.ask({ type: 'join', room: 'r', ref: 'first' });
    let position = String(start['position']);
    const from = Number(position.split(':')[1]);
    for (let round = 0; seen.length + from < total; round += 1) {
      await client.ask({ type: 'leave', room: 'r', ref: `l${round}` });
      collect();
      const last = client.frames.findLast((frame) => frame['type'] === 'message');
      if (last !== undefined) position = String(last['position']);
      expect(await client.ask({ type: 'join', room: 'r', ref: `j${round}`, since: position })).toMatchObject({ recovered: true, position });
      collect();
    }
    collect();
    expect(seen).toEqual(Array.from({ length: total - from }, (_, index) => from + index + 1));
    await until(() => large.balance().queued === 0, 'all is sent');
    expect(large.balance().due).toBe(large.balance().sent);
  });
});
