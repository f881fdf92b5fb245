import type { RoomBook } from './book.ts';
import { Standing } from './standing.ts';
import type { Request } from './wires.ts';

/** Where a reader goes on, and how. */
export interface Going {
  readonly wire: 'socket' | 'sse' | 'lines' | 'poll' | 'history';
  /** In all rooms, by `/socket`; else in one of them, by its own path. */
  readonly many: boolean;
  /** Which room, where it is one. */
  readonly room: number;
  /** From a cursor that it was given, the newest one or so many before; else from the positions that it knows. */
  readonly cursor: number | undefined;
  /** From nowhere, with so many of the newest messages. */
  readonly last: number | undefined;
  /** Messages of an answer at most. */
  readonly limit: number;
  /** Seconds that a poll waits. */
  readonly poll: number;
}

export type Standings = ReadonlyMap<string, Standing>;

/** A place that a gateway gave, in all rooms. */
export interface Cursor {
  readonly text: string;
  readonly standings: Standings;
}

/** What is asked, and where it stands who asks it. */
export interface Asking {
  readonly request: Request;
  readonly standings: Standings;
}

/** Of all rooms, from a cursor, or by POST from positions. */
export function askingOfMany({ wire, last, limit, poll }: Going, books: readonly RoomBook[], from: Cursor | Standings): Asking {
  const rooms = books.map(({ name }) => name);
  const asks = wire === 'poll' ? { poll, limit } : wire === 'history' ? { limit } : {};
  if (last === undefined && 'text' in from) {
    const standings = new Map(rooms.map((room) => [room, standingIn(from.standings, room).resumed()]));
    const { text } = from;
    if (wire === 'history') return { request: { path: '/socket', body: { rooms, since: text, ...asks } }, standings };
    const query = new URLSearchParams([
      ...rooms.map((room): [string, string] => ['rooms', room]),
      ...Object.entries(asks).map(([name, value]): [string, string] => [name, String(value)]),
    ]);
    if (wire === 'sse') return { request: { path: `/socket?${query.toString()}`, headers: { 'Last-Event-ID': text } }, standings };
    query.set('since', text);
    return { request: { path: `/socket?${query.toString()}` }, standings };
  }
  const known = 'text' in from ? from.standings : from;
  const standings = new Map(books.map((book) => [book.name, last === undefined ? standingIn(known, book.name).resumedAtPosition() : Standing.new(book)]));
  const since =
    last === undefined ? Object.fromEntries([...standings].flatMap(([room, { position }]) => (position === undefined ? [] : [[room, position]]))) : undefined;
  return { request: { path: '/socket', body: { rooms, since, last, ...asks } }, standings };
}

/** Of one room, by its own path. */
export function askingOfOne({ wire, last, limit, poll }: Going, book: RoomBook, known: Standings): Asking {
  const standing = last === undefined ? standingIn(known, book.name).resumedAtPosition() : Standing.new(book);
  const { position } = standing;
  const query = new URLSearchParams(wire === 'poll' ? { poll: String(poll), limit: String(limit) } : wire === 'history' ? { limit: String(limit) } : {});
  const isHeader = wire === 'sse' && position !== undefined;
  if (position !== undefined && !isHeader) query.set('since', position);
  else if (last !== undefined) query.set('last', String(last));
  else if (wire === 'history') query.set('last', '0');
  const headers = isHeader ? { 'Last-Event-ID': position } : {};
  return { request: { path: `/room/${book.name}?${query.toString()}`, headers }, standings: new Map([[book.name, standing]]) };
}

export function standingIn(standings: Standings, room: string): Standing {
  const standing = standings.get(room);
  if (standing === undefined) throw new Error(`the reader is not in ${room}`);
  return standing;
}
