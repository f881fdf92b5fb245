import { expect, test } from 'vitest';
import type { Family } from '../family.ts';
import type { Reply } from '../session.ts';

const TEXTS = [
  ['nothing', ''],
  ['a word', 'plain'],
  ['quotes and a backslash', 'ü "quoted" \\ back'],
  ['line ends', 'line\nfeed\r\n'],
  ['what is odd in scripts, in C and in UTF-16', '\u2028\u0000\u{1F600}'],
  ['what looks like a reply', '{"type":"websocket.close","order":9}'],
  ['as much as a client may say', 'x'.repeat(60_000)],
] as const;

export const replies: Family = ({ stage }) => {
  test('an accept says where further events go, how many at once, and what the client is answered', async () => {
    const session = stage().gateway.session('/app/protocol');
    const accept = await session.accepted({ subprotocols: ['v1', 'v2'] });
    expect(accept).toMatchObject({ subprotocol: 'v2', headers: [['x-one', '1']], lease: 1 });
    expect(accept['queue']).toMatch(/^[\w.:@-]{1,200}$/);
    expect(accept['window']).toBeGreaterThan(1);
    await session.done(0);
  });

  test.each(TEXTS)('a text goes in and out as it is: %s', async (_, text) => {
    const session = stage().gateway.session();
    await session.accepted();
    await session.receive(text);
    expect(await session.reply('websocket.send')).toMatchObject({ text });
  });

  test('bytes go in and out as they are', async () => {
    const session = stage().gateway.session();
    await session.accepted();
    const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    await session.receive(bytes);
    expect(await session.frame()).toEqual({ $bytes: Buffer.from(bytes).toString('base64') });
  });

  test.each([
    ['refuse', { type: 'websocket.close', code: 1000 }, undefined],
    ['deny', { type: 'websocket.http.response.start', status: 401 }, 'who?'],
    ['throw', { type: 'websocket.http.response.start', status: 500 }, expect.any(String)],
  ])('a client is refused: %s', async (path, start, body) => {
    const session = stage().gateway.session(`/app/${path}`);
    await session.connect();
    await session.done(0);
    expect(session.replies.all[0]).toMatchObject(start);
    if (body !== undefined) expect(bodyOf(session.replies.all)).toEqual(body);
  });

  test.each([
    ['throw', 1011],
    ['return', 1000],
  ])('a handler that comes to its end closes the socket: %s', async (word, code) => {
    const session = stage().gateway.session();
    await session.accepted();
    await session.receive(word);
    expect(await session.reply('websocket.close')).toMatchObject({ code });
    await session.done(1);
  });

  test('a state and a room', async () => {
    const session = stage().gateway.session();
    await session.accepted();
    for (const text of ['state of things', 'join news']) await session.receive(text);
    await session.done(1, 2);
    expect(session.replies.all.find(({ state }) => state !== undefined)).toMatchObject({ state: 'of things' });
    expect(session.replies.all).toContainEqual(expect.objectContaining({ type: 'room.join', room: 'news' }));
  });

  test('a request is answered whole', async () => {
    const session = stage().gateway.session('/app/page');
    await session.request('POST', Buffer.from('a body'));
    await session.replies.until((all) => all.some(isLast), 'an answer');
    const [first] = session.replies.all;
    expect(first).toMatchObject({ status: 201, headers: expect.arrayContaining([['x-one', '1']]) as unknown });
    expect(bodyOf(session.replies.all)).toBe('POST a body');
  });

  test('what is no event, or of no session, stops nothing', async () => {
    const { gateway } = stage();
    const session = gateway.session();
    await session.accepted();
    for (const queue of [gateway.queue, session.ownQueue as string]) {
      for (const event of [{}, { type: 'websocket.connect' }, { type: 'x', session: 's' }, { type: 'websocket.receive', session: 's', order: 1 }]) {
        await gateway.layer.send(queue, event);
      }
    }
    await session.receive('still here');
    expect(await session.frame()).toBe('still here');
    const next = gateway.session();
    await next.accepted();
  });
};

function isLast({ type, more_body: more }: Reply): boolean {
  return type === 'http.response' || (type === 'http.response.body' && more !== true);
}

/** What the pieces of an answer say together. */
function bodyOf(all: readonly Reply[]): string {
  return all
    .map(({ body, text }) => (typeof text === 'string' ? text : Buffer.from((body as { $bytes: string } | undefined)?.$bytes ?? '', 'base64').toString()))
    .join('');
}
