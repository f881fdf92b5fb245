import { connectTo, consumer, type Socket } from '@busgate/consumer';
import { describe, expect, it } from 'vitest';

type Wrong = (socket: Socket) => Promise<void>;

/** What a handler is told that says this, once it is accepted unless it must not be. */
async function toldOf(wrong: Wrong, isEarly = false): Promise<unknown> {
  const told = Promise.withResolvers<unknown>();
  const handler = consumer(async (socket) => {
    if (!isEarly) await socket.accept();
    await wrong(socket).then(
      () => told.resolve('nothing'),
      (error: unknown) => told.resolve(error),
    );
    await socket.send(`still here, with ${JSON.stringify(socket.state)}`);
  });
  await using connection = await connectTo(handler);
  expect(await connection.receive()).toBe('still here, with null');
  return await told.promise;
}

describe('a handler that says what a gateway would drop is told so, and can go on', () => {
  const early: readonly [what: string, wrong: Wrong, error: object][] = [
    ['a header in a header', (socket) => socket.accept({ headers: [['x', 'a\r\nset-cookie: b=c']] }), { name: 'TypeError' }],
    ['a name that is none', (socket) => socket.accept({ headers: [['x y', 'a']] }), { name: 'TypeError' }],
    ['a header of the gateway', (socket) => socket.accept({ headers: [['Sec-WebSocket-Protocol', 'v1']] }), { name: 'TypeError' }],
    ['what no Latin-1 is', (socket) => socket.accept({ headers: [['x', '\u0100']] }), { name: 'TypeError' }],
    ['a status that no refusal has', (socket) => socket.reject(200), { name: 'TypeError' }],
    ['a header of a refusal', (socket) => socket.reject(403, '', [['content-length', '1']]), { name: 'TypeError' }],
    ['a room that has no name', (socket) => socket.rooms.join('a b'), { code: 'INVALID_NAME' }],
  ];
  it.each(early)('before its accept: %s', async (_, wrong, error) => {
    expect(await toldOf(wrong, true)).toMatchObject(error);
  });

  const later: readonly [what: string, wrong: Wrong, error: object][] = [
    ['a room of Busgate', (socket) => socket.rooms.join('_worker.app'), { code: 'INVALID_NAME' }],
    ['a room to leave', (socket) => socket.rooms.leave(''), { code: 'INVALID_NAME' }],
    ['a room to publish to', (socket) => socket.rooms.publish('a.>', 'x'), { code: 'INVALID_NAME' }],
    ['a group', (socket) => socket.groups.add('a..b'), { code: 'INVALID_NAME' }],
    ['a group to leave', (socket) => socket.groups.discard('*'), { code: 'INVALID_NAME' }],
    ['a group to send to', (socket) => socket.groups.send('', {}), { code: 'INVALID_NAME' }],
    ['a state of more than 4 KB', (socket) => socket.setState('é'.repeat(2048)), { name: 'RangeError' }],
    ['a state that is none', (socket) => socket.setState(undefined as never), { name: 'TypeError' }],
    ['a message that is none', (socket) => socket.send(undefined as never), { name: 'TypeError' }],
  ];
  it.each(later)('after it: %s', async (_, wrong, error) => {
    expect(await toldOf(wrong)).toMatchObject(error);
  });
});
