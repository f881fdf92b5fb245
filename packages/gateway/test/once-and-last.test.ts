import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway } from './support/gateway.ts';
import { dataOf, StreamClient } from './support/stream.ts';

const HISTORY = [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }];
let gateway: TestGateway;

beforeEach(async () => {
  gateway = await TestGateway.start([], HISTORY);
});

afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

const post = async (at: TestGateway, room: string, body: string, key?: string): Promise<{ status: number; body: Record<string, unknown> }> => {
  const answer = await fetch(at.http(`/room/${room}`), { method: 'POST', body, headers: key === undefined ? {} : { 'idempotency-key': key } });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
};

describe('a publish with an id', () => {
  test('is made once, by whatever gateway and wire it is sent again, also at the same moment, and answers the first position', async () => {
    await using other = await TestGateway.start([], HISTORY, gateway.bus);
    await using witness = await Client.open(gateway.ws('/room/kept.1'));
    await using client = await Client.multiplex(other.ws('/socket'));
    const raced = await Promise.all([post(gateway, 'kept.1', 'first', 'k'), post(other, 'kept.1', 'first', 'k')]);
    const { position } = raced[0]?.body ?? {};
    expect(raced.map(({ status, body }) => [status, body['position']])).toEqual([
      [202, position],
      [202, position],
    ]);
    // Another payload under the same id changes nothing: the first one holds.
    expect(await client.ask({ type: 'publish', room: 'kept.1', text: 'changed', id: 'k', ref: 1 })).toMatchObject({ type: 'published', position });
    expect((await post(gateway, 'kept.2', 'elsewhere', 'k')).body['position']).not.toBe(position);
    await post(gateway, 'kept.1', 'marker', 'another');
    await witness.until(() => witness.received.length === 2);
    expect(witness.received).toEqual(['first', 'marker']);
  });

  test('in a room without history is told so, and one that is none is refused', async () => {
    await using client = await Client.multiplex(gateway.ws('/socket'));
    expect(await client.ask({ type: 'publish', room: 'live', text: 'x', id: 'k', ref: 1 })).toMatchObject({ code: 'no_history' });
    expect(await post(gateway, 'live', 'x', 'k')).toMatchObject({ status: 400, body: { error: 'no_history' } });
    for (const id of ['', 'with space', 'x'.repeat(129), 'é', 5]) {
      expect(await client.ask({ type: 'publish', room: 'kept.1', text: 'x', id, ref: `${id}` })).toMatchObject({ code: 'bad_frame' });
    }
    for (const key of ['', 'x'.repeat(129), 'a b']) expect(await post(gateway, 'kept.1', 'x', key)).toMatchObject({ status: 400, body: { error: 'bad_id' } });
  });
});

/** How a message is published over HTTP, with the status and the answer: with a key in the header, or an id in the frame. */
const KEYED: Readonly<Record<string, (room: string, text: string, key: string) => Promise<{ status: number; body: Record<string, unknown> }>>> = {
  'to its room': (room, text, key) => post(gateway, room, text, key),
  'as a frame, the key in the header': (room, text, key) => posted({ type: 'publish', room, text }, key),
  'as a frame that has the key': (room, text, id) => posted({ type: 'publish', room, text, id }),
};

async function posted(frame: object, key?: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const headers = key === undefined ? undefined : { 'Idempotency-Key': key };
  const answer = await fetch(gateway.http('/socket'), { method: 'POST', body: JSON.stringify(frame), ...(headers && { headers }) });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

describe.each(Object.entries(KEYED))('a message that is posted %s', (_, publish) => {
  test.each([
    ['empty', ''],
    ['of 129 characters', 'x'.repeat(129)],
    ['of two words', 'a b'],
    ['two keys', 'a, b'],
    ['not ASCII', 'é'],
    ['with a tab', 'a\tb'],
  ])('under a key that is %s is 400, and is not published', async (_what, key) => {
    expect((await publish('kept.1', 'x', key)).status).toBe(400);
    expect((await gateway.layer.history('kept.1', undefined, { last: 1 })).messages).toEqual([]);
  });

  test('under a key of 128 characters is published once, and the first one holds whatever is sent under it later', async () => {
    const key = '~'.repeat(128);
    const first = await publish('kept.1', 'first', key);
    for (const again of Object.values(KEYED)) expect(await again('kept.1', 'another', key)).toEqual(first);
    expect([first.status, first.body]).toEqual([202, { room: 'kept.1', position: expect.any(String) }]);
    const { messages } = await gateway.layer.history('kept.1', undefined, { last: 9 });
    expect(messages.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['first']);
  });

  test('where nothing is kept is 400, and is not published', async () => {
    expect(await publish('live', 'x', 'k')).toMatchObject({ status: 400, body: { error: 'no_history' } });
  });
});

describe('the newest messages on a first join', () => {
  const fill = async (room: string, count: number): Promise<string[]> => {
    const positions: string[] = [];
    for (let n = 1; n <= count; n += 1) positions.push((await gateway.layer.publish(room, String(n))).position ?? '');
    return positions;
  };

  test('come first, oldest first, and then what is live; who is cut before them is given them again', async () => {
    const positions = await fill('kept.1', 5);
    await using client = await Client.multiplex(gateway.ws('/socket'));
    expect(await client.ask({ type: 'join', room: 'kept.1', last: 2, ref: 1 })).toMatchObject({ type: 'joined', position: positions[2] });
    await gateway.layer.publish('kept.1', '6');
    const messages = (): unknown[] => client.frames.flatMap(({ type, data }) => (type === 'message' ? [data] : []));
    await client.until(() => messages().length === 3);
    expect(messages()).toEqual([4, 5, 6]);
  });

  test('may be none, more than there are, or asked for in vain where nothing is kept; since goes before', async () => {
    const positions = await fill('kept.1', 3);
    await using client = await Client.multiplex(gateway.ws('/socket'));
    const answerOf = async (frame: { room: string; last: number; since?: string }, ref: number): Promise<unknown[]> => {
      const before = client.frames.length;
      await client.ask({ type: 'join', ...frame, ref });
      const marker = await client.ask({ type: 'leave', room: frame.room, ref: `${ref} left` });
      return client.frames.slice(before, client.frames.indexOf(marker)).map(({ type, data, position }) => (type === 'message' ? data : position));
    };
    expect(await answerOf({ room: 'kept.1', last: 0 }, 1)).toEqual([positions[2]]);
    expect(await answerOf({ room: 'kept.1', last: 1e300 }, 2)).toEqual([expect.any(String), 1, 2, 3]);
    expect(await answerOf({ room: 'kept.1', last: 3, since: positions[1] ?? '' }, 3)).toEqual([positions[1], 3]);
    expect(await answerOf({ room: 'live', last: 5 }, 4)).toEqual([undefined]);
    expect(await client.ask({ type: 'join', room: 'kept.1', last: -1, ref: 5 })).toMatchObject({ code: 'bad_frame' });
  });

  test('may be asked for by the request of a stream, of one room or of many, and of a raw socket', async () => {
    const positions = await fill('kept.1', 3);
    await using stream = await StreamClient.open(gateway.port, '/room/kept.1?last=2');
    await stream.until(() => stream.events.length === 3);
    expect(stream.events).toEqual([`id: ${positions[0]}`, `id: ${positions[1]}\ndata: 2`, `id: ${positions[2]}\ndata: 3`]);
    await using many = await StreamClient.open(gateway.port, '/socket?rooms=kept.1&rooms=live&last=1');
    await many.until(() => many.frames.filter(({ type }) => type === 'message').length === 1);
    expect(many.frames.find(({ type }) => type === 'message')).toMatchObject({ room: 'kept.1', data: 3 });
    await using raw = await Client.open(gateway.ws('/room/kept.1?last=1'));
    await raw.until(() => raw.received.length === 1);
    expect([dataOf(stream.events.at(-1) ?? ''), raw.received]).toEqual(['3', ['3']]);
    for (const last of ['-1', 'abc', '']) {
      const refused = await fetch(gateway.http(`/room/kept.1?last=${last}`), { headers: { accept: 'text/event-stream' } });
      expect(refused.status).toBe(400);
      await refused.body?.cancel();
    }
  });
});
