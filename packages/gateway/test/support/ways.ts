import type { TestGateway } from './gateway.ts';

const EVENTS = 'text/event-stream';
const LINES = 'application/x-ndjson';
/** What is published where a stream has begun: what came before it is all that it had to tell. */
const END = 'the end';

/** What a request asks for, whatever its form: in the query, or in the body. */
export interface Asked {
  readonly rooms?: readonly unknown[];
  readonly since?: unknown;
  readonly last?: unknown;
  readonly poll?: unknown;
  readonly limit?: unknown;
  /** Headers beside those of the form. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A form in which the messages of rooms are asked for. */
export interface Way {
  readonly name: string;
  /** The stream's type; of questions, which have one answer, undefined. */
  readonly accept?: string;
  /** Of one room, in the path; of many, in the query; or posted, in a body. */
  readonly form: 'room' | 'many' | 'posted';
  /** What is asked for in any case. */
  readonly always?: Asked;
}

export const WAYS: readonly Way[] = [
  { name: 'events of a room', accept: EVENTS, form: 'room' },
  { name: 'lines of a room', accept: LINES, form: 'room' },
  { name: 'the history of a room', form: 'room', always: { last: 0 } },
  { name: 'a poll of a room', form: 'room', always: { poll: 30 } },
  { name: 'events of many rooms', accept: EVENTS, form: 'many' },
  { name: 'lines of many rooms', accept: LINES, form: 'many' },
  { name: 'a poll of many rooms', form: 'many', always: { poll: 30 } },
  { name: 'events by POST', accept: EVENTS, form: 'posted' },
  { name: 'lines by POST', accept: LINES, form: 'posted' },
  { name: 'a poll by POST', form: 'posted', always: { poll: 30 } },
];

/** Path, and what `fetch` is given, of a request of this form. */
export function requestOf(
  { accept, form, always }: Way,
  room: string,
  asked: Asked,
): readonly [path: string, init: RequestInit & { headers: Record<string, string> }] {
  const { headers, rooms = [room], ...members } = { ...always, ...asked };
  const sent = { ...(accept !== undefined && { Accept: accept }), ...headers };
  if (form === 'posted')
    return ['/socket', { method: 'POST', body: JSON.stringify({ rooms, ...members }), headers: { 'Content-Type': 'application/json', ...sent } }];
  const query = new URLSearchParams(form === 'many' ? rooms.map((name): [string, string] => ['rooms', String(name)]) : []);
  for (const [name, value] of Object.entries(members)) query.set(name, String(value));
  return [`${form === 'many' ? '/socket' : `/room/${room}`}?${query.toString()}`, { headers: sent }];
}

/** What became of it: `<status> <error>`, or `gap` and the texts that came, in their order. Of a stream what it had to tell when it began. */
export async function outcomeOf(gateway: TestGateway, way: Way, room: string, asked: Asked): Promise<string> {
  const [path, init] = requestOf(way, room, asked);
  const left = new AbortController();
  const answer = await fetch(gateway.http(path), { ...init, signal: left.signal });
  if (answer.status !== 200) return `${answer.status} ${((await answer.json()) as { error: string }).error}`;
  if (way.accept === undefined) return told(await answer.text());
  await gateway.publish(room, END);
  const text = await textUntil(answer, END);
  left.abort();
  return told(text);
}

async function textUntil({ body }: Response, end: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const piece of body as ReadableStream<Uint8Array>) {
    text += decoder.decode(piece, { stream: true });
    if (text.includes(end)) break;
  }
  return text.slice(0, text.indexOf(end));
}

/** The messages of these tests are numbers in words; no other word of an answer is one. */
function told(text: string): string {
  return [...(/\bgap\b/.test(text) ? ['gap'] : []), ...(text.match(/\b(?:one|two|three)\b/g) ?? [])].join(' ');
}
