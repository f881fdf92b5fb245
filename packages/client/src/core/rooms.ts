import type { ClientFrame, GapFrame, JoinedFrame, MessageFrame } from '../frames.ts';
import type { Emit, Senses } from './actions.ts';
import { Seen } from './position.ts';

/** A room that could not be resumed is to be fetched again within so many milliseconds: not by all clients at once. */
const GAP_SPREAD_MS = 1000;
/** Refusals of a join that may be different a moment later. */
const PASSING = /^(away|rate|full|unknown|bad_position)$/;
/** How much later, in milliseconds, and as much more at random. */
const AGAIN_MS = 500;

export interface JoinOptions {
  /** The newest so many messages of the history come first, on the first join. */
  readonly last?: number | undefined;
  /** What came after this position comes first. */
  readonly since?: string | undefined;
}

interface JoinedRoom {
  readonly last: number | undefined;
  readonly seen: Seen;
  /** Where it is resumed; undefined where the room has no history, as far as is known. */
  position: string | undefined;
  wasJoined?: boolean;
  /** Links on which its messages come. */
  readonly links: Set<number>;
  /** The one of them that messages without a position are taken from: over two they would be given twice. */
  live?: number | undefined;
  /** The join that is not answered. */
  asked?: { readonly ref: number; readonly link: number; readonly since: string | undefined } | undefined;
}

/** The rooms that the program is in: where each of them stands, and which frames keep it there. */
export class Rooms {
  readonly #entries = new Map<string, JoinedRoom>();
  readonly #emit: Emit;
  readonly #senses: Senses;
  readonly #nextRef: () => number;
  /** When joins that failed are due again. */
  retryAt = Infinity;

  constructor(emit: Emit, senses: Senses, nextRef: () => number) {
    this.#emit = emit;
    this.#senses = senses;
    this.#nextRef = nextRef;
  }

  add(room: string, { last, since }: JoinOptions): void {
    this.#entries.set(room, { last, position: since, seen: new Seen(), links: new Set() });
  }

  /** Leaves the room on every link on which it is joined, or about to be. */
  remove(room: string): void {
    const entry = this.#entries.get(room);
    this.#entries.delete(room);
    if (entry?.asked) entry.links.add(entry.asked.link);
    for (const link of entry?.links ?? []) this.#emit('send', link, [{ type: 'leave', room }]);
  }

  /** Joins on a link all rooms that are not there yet; where another link still stands, only those that can be resumed: they may come over two at a time. */
  join(link: number, isNext = false): void {
    this.retryAt = Infinity;
    const frames: ClientFrame[] = [];
    for (const [room, entry] of this.#entries) {
      const { asked, last, links, position: since, wasJoined } = entry;
      if (links.has(link)) entry.live = link;
      else if (asked?.link !== link && (!isNext || (wasJoined && since))) {
        const ref = this.#nextRef();
        entry.asked = { ref, link, since };
        frames.push({ type: 'join', room, ref, since, last: wasJoined || since ? undefined : last });
      }
    }
    if (frames.length > 0) this.#emit('send', link, frames);
  }

  /** Whether no join is unanswered on a link. */
  isSettled(link: number): boolean {
    return ![...this.#entries.values()].some(({ asked }) => asked?.link === link);
  }

  linkEnded(link: number): void {
    for (const [room, entry] of this.#entries) {
      entry.links.delete(link);
      if (entry.asked?.link === link) entry.asked = undefined;
      if (entry.live === link) entry.live = undefined;
      if (entry.links.size === 0) this.#emit('room', room, 'joining');
    }
  }

  joined(link: number, { room, ref, position, recovered }: JoinedFrame): void {
    const entry = this.#entries.get(room);
    // Left meanwhile, and perhaps joined anew: that has an answer of its own.
    if (!entry?.asked || entry.asked.ref !== ref) return;
    // After a loss what is still kept follows, so that the place before it is the only one from which nothing more can be missed.
    if (recovered === undefined) entry.position = position;
    if (entry.wasJoined && !entry.asked.since) this.#emit('gap', room, { after: this.#senses.random() * GAP_SPREAD_MS });
    entry.asked = undefined;
    entry.wasJoined = true;
    entry.links.add(link);
    entry.live ??= link;
    this.#emit('room', room, 'joined');
  }

  message(link: number, frame: MessageFrame): void {
    const { room, position } = frame;
    const entry = this.#entries.get(room);
    if (!entry?.links.has(link) || !(position ? entry.seen.take(position) : entry.live === link)) return;
    entry.position = position ?? entry.position;
    this.#emit('message', frame);
  }

  gap(link: number, { room, after = 0, count }: GapFrame): void {
    if (this.#entries.get(room)?.links.has(link)) this.#emit('gap', room, { after, missed: count });
  }

  /** The gateway has put us out, unless it only answers our leave. */
  left(link: number, room: string, reason: string | undefined): void {
    if (reason && this.#entries.get(room)?.links.has(link)) this.#endRoom(room, reason);
  }

  /** What failed is a join, if one has this number. */
  failed(ref: number | undefined, code: string): void {
    for (const [room, entry] of this.#entries) {
      if (!entry.asked || entry.asked.ref !== ref) continue;
      entry.asked = undefined;
      if (!PASSING.test(code)) this.#endRoom(room, code);
      else if (code === 'bad_position') {
        // It is joined anew, and told a gap.
        entry.position = undefined;
        entry.wasJoined = true;
      }
      this.retryAt = this.#senses.now() + AGAIN_MS * (1 + this.#senses.random());
    }
  }

  #endRoom(room: string, code: string): void {
    this.#entries.delete(room);
    this.#emit('room', room, 'left', code);
  }
}
