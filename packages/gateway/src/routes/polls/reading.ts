import { Buffer } from 'node:buffer';
import type { HistoryReading, PositionedMessage } from '@busgate/layer';
import { contentOf } from '../../content.ts';
import { type Hub, positionBefore } from '../../hub.ts';
import type { HistoryQuestion } from './question.ts';

/** Bytes of JSON that the messages of an answer may have, of the 1 MiB that it may: the first is given whatever it has. */
const MAX_BYTES = 1024 * 1024 - 1024;
/** Rooms that are read at once: what they hold waits in memory until it is known how much of it fits. */
const ROOMS_AT_ONCE = 8;

/** Where its client stands in rooms, and how much of them it wants. */
export type Wanted = Pick<HistoryQuestion, 'rooms' | 'sinceOf' | 'last' | 'limit' | 'isOfMany'>;

/** What the rooms of a question hold for its client, as items of JSON. */
export class Reading {
  /** Where the client stands with it, by room. */
  readonly positions = new Map<string, string>();
  readonly items: string[] = [];
  /** Something that followed where the client stood is kept no longer. */
  hasGap = false;
  /** There is more than fits. */
  hasMore = false;
  readonly #wanted: Wanted;
  #bytes = 0;

  private constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  /** @throws LayerError as a history does */
  static async of(hub: Hub, wanted: Wanted): Promise<Reading> {
    const { rooms } = wanted;
    const reading = new Reading(wanted);
    for (let at = 0; at < rooms.length; at += ROOMS_AT_ONCE) await reading.#read(hub, rooms.slice(at, at + ROOMS_AT_ONCE));
    return reading;
  }

  /** What its messages have, in JSON. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether there is something to tell beyond where the rooms stand. */
  get isNews(): boolean {
    return this.items.length > 0 || this.hasGap || this.hasMore;
  }

  async #read(hub: Hub, rooms: readonly string[]): Promise<void> {
    const { sinceOf, last = 0 } = this.#wanted;
    const limit = Math.max(1, this.#left);
    const bytes = Math.max(1, MAX_BYTES - this.#bytes);
    const readings = await Promise.all(rooms.map((room) => hub.history(room, sinceOf(room), { limit, last: Math.min(last, limit), bytes })));
    for (const [index, reading] of readings.entries()) this.#take(rooms[index] ?? '', reading);
  }

  /** Messages that may be added. */
  get #left(): number {
    return this.#bytes < MAX_BYTES ? this.#wanted.limit - this.items.length : 0;
  }

  #take(room: string, { messages, position, recovered, more }: HistoryReading): void {
    const since = this.#wanted.sinceOf(room);
    if (since === undefined) return this.#takeNewest(room, messages, position);
    let taken = 0;
    for (const message of messages) {
      if (this.#left <= 0 || !this.#add(this.items.length, room, message)) break;
      taken += 1;
    }
    const [next] = messages.slice(taken, taken + 1);
    if (recovered === false) this.hasGap = true;
    if (next !== undefined || more) this.hasMore = true;
    // After a gap it goes on with the oldest that is kept.
    if (next === undefined) this.positions.set(room, position);
    else this.positions.set(room, messages[taken - 1]?.position ?? (recovered === false ? positionBefore(next) : since));
  }

  /** Where not all of a room fit, the oldest are left out; where none does it has no place yet, and they come with the next answer. */
  #takeNewest(room: string, messages: readonly PositionedMessage[], position: string): void {
    const at = this.items.length;
    for (const message of messages.toReversed()) if (this.#left <= 0 || !this.#add(at, room, message)) break;
    if (this.items.length === at && messages.length > 0) this.hasMore = true;
    else this.positions.set(room, position);
  }

  /** False where it does not fit. */
  #add(at: number, room: string, message: PositionedMessage): boolean {
    const item = itemOf(this.#wanted.isOfMany ? room : undefined, message);
    const bytes = Buffer.byteLength(item) + 1;
    if (this.#bytes + bytes > MAX_BYTES && this.#bytes > 0) return false;
    this.#bytes += bytes;
    this.items.splice(at, 0, item);
    return true;
  }
}

function itemOf(room: string | undefined, message: PositionedMessage): string {
  const prefix = room === undefined ? '' : `"room":${JSON.stringify(room)},`;
  return `{${prefix}${contentText(message)},"position":${JSON.stringify(message.position)}}`;
}

/** Many ask for the same message: what it is in JSON is kept for as long as it is. */
const CONTENTS = new WeakMap<PositionedMessage, string>();

function contentText(message: PositionedMessage): string {
  const known = CONTENTS.get(message);
  if (known !== undefined) return known;
  const [member, value] = contentOf(message.payload);
  const text = `"${member}":${Buffer.from(value.buffer, value.byteOffset, value.length).toString()}`;
  CONTENTS.set(message, text);
  return text;
}
