import type { PositionedMessage } from './contract.ts';
import type { HistoryRule } from './history-rules.ts';
import type { Position } from './position.ts';
import { MESSAGE_BYTES, ROOM_BYTES, type Keeper, type RoomBytes } from './room-bytes.ts';

/** What was read from the history is kept for so long, in milliseconds: its age is not known, and who comes back after a deploy comes within it. */
const READ_KEPT_MS = 10_000;

/** A message of a room with history, and where it stands in its epoch. */
export interface KeptMessage {
  readonly offset: number;
  readonly message: PositionedMessage;
}

interface Kept extends KeptMessage {
  /** When it is let go, on this process's clock. */
  readonly until: number;
}

/**
 * The newest messages of a room that this process holds, without anything missing between them: who comes back is served from here, and the broker is not asked.
 * Bounded by the history's own rule, by the bytes of a room and by those of the process.
 */
export class RecentMessages implements Keeper {
  readonly #rule: HistoryRule;
  readonly #bytes: RoomBytes;
  #kept: Kept[] = [];
  /** How many at the head of `#kept` have been let go. */
  #gone = 0;
  #used = 0;
  #epoch = '';
  /** All that followed this offset is here, */
  #from = 0;
  /** up to this one. */
  #through = -1;

  constructor(rule: HistoryRule, bytes: RoomBytes) {
    this.#rule = rule;
    this.#bytes = bytes;
    bytes.add(this);
  }

  /** Nothing from before this position is here. */
  beginAt({ epoch, offset }: Position): void {
    this.#letGo(this.#kept.length - this.#gone);
    this.#epoch = epoch;
    this.#from = offset;
    this.#through = offset;
  }

  /** The room has come so far, though no message stands there. */
  reach(offset: number): void {
    this.#through = Math.max(this.#through, offset);
  }

  /** The next message of the room. */
  append(offset: number, message: PositionedMessage, now: number): void {
    const kept = { offset, message, until: now + this.#rule.ageMs };
    this.#kept.push(kept);
    this.#through = offset;
    this.#expire(now);
    this.#count(sizeOf(kept));
    this.#trim();
  }

  /** What followed `after`, oldest first, up to where the room stands; undefined where not all of it is here. */
  after({ epoch, offset }: Position, now: number): readonly KeptMessage[] | undefined {
    this.#expire(now);
    if (epoch !== this.#epoch || offset < this.#from || offset > this.#through) return undefined;
    return this.#kept.slice(indexAfter(this.#kept, offset, this.#gone));
  }

  /** The newest so many; undefined where there may be more of them than are here. */
  newest(count: number, now: number): readonly KeptMessage[] | undefined {
    this.#expire(now);
    return this.#kept.length - this.#gone < count ? undefined : this.#kept.slice(this.#kept.length - count);
  }

  /** Messages that were read: all that followed `after` in that epoch. As many as there is room for are put before those that are here. */
  putBefore(after: Position, read: readonly KeptMessage[], now: number): void {
    const last = read.at(-1)?.offset ?? after.offset;
    if (after.epoch !== this.#epoch || after.offset >= this.#from || last < this.#from) return;
    const until = now + Math.min(this.#rule.ageMs, READ_KEPT_MS);
    const earlier = read.filter(({ offset }) => offset <= this.#from).map((kept): Kept => ({ ...kept, until }));
    this.#kept = [...earlier, ...this.#kept.slice(this.#gone)];
    this.#gone = 0;
    this.#from = after.offset;
    this.#count(earlier.reduce((sum, kept) => sum + sizeOf(kept), 0));
    this.#trim();
  }

  halve(): void {
    this.#letGo(Math.ceil((this.#kept.length - this.#gone) / 2));
  }

  /** What is kept is gone, and the room with it. */
  close(): void {
    this.#letGo(this.#kept.length - this.#gone);
    this.#bytes.remove(this);
  }

  #expire(now: number): void {
    let count = 0;
    while ((this.#kept[this.#gone + count]?.until ?? Infinity) <= now) count += 1;
    if (count > 0) this.#letGo(count);
  }

  #trim(): void {
    let surplus = Math.max(0, this.#kept.length - this.#gone - this.#rule.size);
    for (let over = this.#used - ROOM_BYTES, at = this.#gone + surplus; over > 0 && at < this.#kept.length; at += 1, surplus += 1) {
      over -= sizeOf(this.#kept[at] as Kept);
    }
    if (surplus > 0) this.#letGo(surplus);
  }

  #letGo(count: number): void {
    let bytes = 0;
    for (const end = this.#gone + count; this.#gone < end; this.#gone += 1) {
      const kept = this.#kept[this.#gone] as Kept;
      bytes += sizeOf(kept);
      this.#from = kept.offset;
    }
    if (this.#gone * 2 >= this.#kept.length) {
      this.#kept = this.#kept.slice(this.#gone);
      this.#gone = 0;
    }
    this.#count(-bytes);
  }

  #count(bytes: number): void {
    this.#used += bytes;
    this.#bytes.count(bytes);
  }
}

/** Where those begin that stand after `offset`. */
export function indexAfter(messages: readonly KeptMessage[], offset: number, from = 0): number {
  let [low, high] = [from, messages.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((messages[middle]?.offset ?? 0) > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

function sizeOf({ message }: KeptMessage): number {
  return message.payload.length + MESSAGE_BYTES;
}
