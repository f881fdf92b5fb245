import { Buffer } from 'node:buffer';
import type { JetStream, StreamInfo } from './jetstream.ts';
import type { Session } from './session.ts';
import { type PagedMessage, readStretch } from './stream-pages.ts';

/** Fewer rooms than these are read one by one. */
export const FEWEST = 16;
/** What reading a room by itself costs, in messages and in bytes of a stretch that is read for many. */
const MESSAGES_A_ROOM = 256;
const BYTES_A_ROOM = 131_072;
/** A stretch has no more bytes than these, since what is kept of it is held until all of it was read. */
const MOST_BYTES = 33_554_432;
const PAGE = 1024;

/** Who wants what a stream has of one subject. */
export interface Wanted {
  readonly subject: string;
  readonly range: Range;
}

/** Sequences of a stream, both included. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * Of those who want something of a stream the ones for whom a stretch of it is better read once, whatever else lies in between, than the rooms one by one: a server looks
 * at each message of the stretch for each room. They are those who want least of what is old; none where that does not pay.
 */
export function together<T extends Wanted>({ state }: StreamInfo, wanted: readonly T[]): readonly T[] {
  const newestFirst = wanted.toSorted((a, b) => b.range.from - a.range.from);
  const to = newestFirst.reduce((most, { range }) => Math.max(most, range.to), 0);
  const bytes = state.bytes / Math.max(1, state.messages);
  for (let count = newestFirst.length; count >= FEWEST; count -= 1) {
    const span = to + 1 - (newestFirst[count - 1] as T).range.from;
    if (span <= count * MESSAGES_A_ROOM && span * bytes <= Math.min(count * BYTES_A_ROOM, MOST_BYTES)) return newestFirst.slice(0, count);
  }
  return [];
}

/**
 * Reads a stretch once for many. Resolves with what it has for each of them in their order, undefined where not all of that was read. What is
 * found was there when it was passed; each has what its subject had then.
 */
export async function sweep(
  jetStream: JetStream,
  session: Session,
  stream: StreamInfo,
  wanted: readonly Wanted[],
): Promise<readonly (readonly PagedMessage[] | undefined)[]> {
  const from = wanted.reduce((least, { range }) => Math.min(least, range.from), Infinity);
  const to = wanted.reduce((most, { range }) => Math.max(most, range.to), 0);
  const bySubject = new Map<string, PagedMessage[]>(wanted.map(({ subject }) => [subject, []]));
  let bytes = 0;
  await readStretch(jetStream, session, stream, { from, to, page: PAGE }, ({ offset, time, payload }, { subject }) => {
    // In memory of its own: most of what came with it is let go.
    bySubject.get(subject)?.push({ offset, time, payload: Buffer.from(payload) });
    bytes += payload.length;
    return bytes <= 2 * MOST_BYTES;
  });
  return wanted.map(({ subject, range }) => {
    const kept = (bySubject.get(subject) ?? []).filter(({ offset }) => offset >= range.from);
    return (kept.at(-1)?.offset ?? 0) >= range.to ? kept : undefined;
  });
}
