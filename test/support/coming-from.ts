import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import { Client } from '../e2e/clients.ts';

const DOCUMENT = join(import.meta.dirname, '../../docs/coming-from.md');

/** The origin of the pages that may connect where one is asked for. */
export const ORIGIN = 'https://app.example';

/** A piece of code of the document as its users have it, and as it is here. */
export interface Pair {
  /** Of the library that they come from. */
  readonly library: string;
  readonly title: string;
  readonly before: string;
  readonly after: string;
}

/** Where a server is that runs one of the two. */
export interface Place {
  ws(path: string): string;
  http(path: string): string;
}

/** Every pair that `docs/coming-from.md` has. */
export async function readPairs(): Promise<readonly Pair[]> {
  const sections = (await readFile(DOCUMENT, 'utf8')).split(/^## /m).slice(1);
  return sections.flatMap((section) => {
    const [library = '', ...pairs] = section.split(/^### /m);
    return pairs.map((text) => ({
      library: library.split('\n', 1)[0] ?? '',
      title: text.split('\n', 1)[0] ?? '',
      before: blockOf(text, 'python'),
      after: blockOf(text, 'ts'),
    }));
  });
}

/** What both of a pair do, by its title, as their clients see it. */
export const BEHAVIOURS: Readonly<Record<string, (place: Place) => Promise<void>>> = {
  'One path for HTTP and WebSocket': async (place) => {
    const answer = await fetch(place.http('/echo?message=hello'));
    expect([answer.status, await answer.text()]).toEqual([200, 'hello']);
    await using client = await Client.open(place.ws('/echo'));
    for (const text of ['one', 'two', 'three']) client.send(text);
    await client.until((received) => received.length === 3);
    expect(client.received).toEqual(['one', 'two', 'three']);
  },
  'Everybody hears everybody': async (place) => {
    await using one = await Client.open(place.ws('/chat'));
    await hasArrived(one);
    await using two = await Client.open(place.ws('/chat'));
    await hasArrived(two);
    one.send('hello');
    await Promise.all([one, two].map((client) => client.until((received) => received.includes('hello'))));
  },
  'A handler': async (place) => {
    const open = async (path: string, protocols: string[]): Promise<WebSocket> => {
      const socket = new WebSocket(place.ws(path), protocols, { origin: ORIGIN });
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      return socket;
    };
    const [one, two] = [await open('/chat/a', ['chat.v1', 'chat.v2']), await open('/chat/a', [])];
    expect([one.protocol, two.protocol]).toEqual(['chat.v2', '']);
    const heard = [one, two].map((socket) => new Promise((resolve) => socket.once('message', (data: Buffer) => resolve(JSON.parse(data.toString())))));
    one.send('hello');
    expect(await Promise.all(heard)).toEqual([
      { room: 'a', text: 'hello' },
      { room: 'a', text: 'hello' },
    ]);
    const closed = new Promise((resolve) => one.once('close', (code: number, reason: Buffer) => resolve([code, reason.toString()])));
    one.send('bye');
    expect(await closed).toEqual([4000, 'so long']);
    two.terminate();
    expect(await refusalOf(place.ws('/chat/a'), 'https://evil.example')).toBe(403);
  },
  'A refusal, and a handler that takes its time': async (place) => {
    expect(await refusalOf(place.ws('/countdown'))).toBe(401);
    await using client = new Client(place.ws('/countdown?token=secret'));
    expect((await client.closed).code).toBe(1000);
    expect(client.received).toEqual(['3', '2', '1']);
  },
  'Functions, and a group': chat,
  'Several streams on one socket': async (place) => {
    await using client = await Client.open(place.ws('/streams'));
    client.send(JSON.stringify({ stream: 'sum', payload: { a: 1, b: 2 } }));
    client.send(JSON.stringify({ stream: 'echo', payload: { x: 1 } }));
    await client.until((received) => received.length === 2);
    expect(client.received.map((text) => JSON.parse(String(text)) as unknown)).toEqual([
      { stream: 'sum', payload: { sum: 3 } },
      { stream: 'echo', payload: { echo: { x: 1 } } },
    ]);
  },
  'A chat': chat,
};

/** Rooms by their path. */
async function chat(place: Place): Promise<void> {
  await using one = await Client.open(place.ws('/chat/a'));
  await hasArrived(one);
  await using two = await Client.open(place.ws('/chat/a'));
  await hasArrived(two);
  await using other = await Client.open(place.ws('/chat/b'));
  one.send('hello');
  await Promise.all([one, two].map((client) => client.until((received) => received.includes('hello'))));
  await hasArrived(other);
  expect(other.received).not.toContain('hello');
}

/** Whoever hears itself is in its room, and will hear others. */
async function hasArrived(client: Client): Promise<void> {
  const own = crypto.randomUUID();
  client.send(own);
  await client.until((received) => received.includes(own));
}

/** The status with which a handshake is refused. */
function refusalOf(url: string, origin?: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, origin === undefined ? {} : { origin });
    socket.once('open', () => reject(new Error('the handshake was accepted')));
    socket.once('unexpected-response', (request, response) => {
      request.destroy();
      resolve(response.statusCode);
    });
    socket.on('error', () => undefined);
  });
}

function blockOf(text: string, language: string): string {
  const code = new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'm').exec(text)?.[1];
  if (code === undefined) throw new Error(`a pair of the document has no ${language}`);
  return code;
}
