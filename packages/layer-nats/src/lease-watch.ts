import type { LeaseState } from './lease-messages.ts';
import type { WrittenLease } from './lease-states.ts';

/** The part of a lease's time in which it is looked at again, as the layer does; who lives has renewed it long before its last one. */
const LITTLE = 1 / 20;

/** What a lease is that has not ended. */
type Alive = Exclude<LeaseState, 'ended'>;

/** A lease that lives for all that is known, and where its newest state is. */
interface Living {
  readonly state: Alive;
  readonly sequence: number;
}

/** When the stream had come so far, on this process's `performance.now()`. */
interface StreamMark {
  readonly sequence: number;
  readonly at: number;
}

/**
 * Which leases nobody has renewed for as long as they last. NATS has no clock that it would judge by, so this process counts by its own, and hears no renewal for that: it notes from time to time
 * how far the stream has come. What was there then, and is still the newest state of its lease, is at least that old. Who renews a lease writes it at the end of the stream, so those
 * that nobody renews stand at its beginning: it is read as far as they may, and no further. The broker's word just before one is ended is the caller's to ask for. Knows no broker.
 */
export class LeaseWatch {
  readonly #now: () => number;
  #created = '';
  #marks: StreamMark[] = [];
  /** As long as any lease lasts that is known. */
  #longestMs = 0;
  #from = 1;
  /** The oldest one from there on, as it was found last. */
  #oldest: Living | undefined;
  /** Those that stand before it. */
  readonly #passed = new Map<string, Living>();
  /** Whether all that they held has been settled, or lies with nobody any more. */
  readonly #ended = new Map<string, boolean>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Where to read on. */
  get from(): number {
    return this.#from;
  }

  /** There are leases that last so long. */
  lasts(ttlMs: number): void {
    this.#longestMs = Math.max(this.#longestMs, ttlMs);
  }

  /** The count begins anew for all, and so does the reading, before which there is nothing but what has ended. */
  begin(from = 1): void {
    this.#marks = [];
    this.#from = from;
    this.#oldest = undefined;
    this.#passed.clear();
  }

  /** How far the stream has come that was made at `created`. Where it is another one by now, or has lost what it had, everything begins anew. */
  reached(sequence: number, created: string): void {
    const last = this.#marks.at(-1);
    if (last !== undefined && (created !== this.#created || sequence < last.sequence)) this.begin();
    this.#created = created;
    const now = this.#now();
    if (sequence !== this.#marks.at(-1)?.sequence) this.#marks.push({ sequence, at: now });
    while ((this.#marks[1]?.at ?? Infinity) <= now - this.#longestMs) this.#marks.shift();
  }

  /**
   * Whether to read on: not before half of the time has gone of what was found there last, or of `shortestMs`, since what stands behind it is younger still. That could wait for longer, but for leases that
   * others have ended and may need help with.
   */
  mayBeLate(shortestMs: number): boolean {
    const oldest = this.#oldest;
    return oldest === undefined || this.#silenceOf(oldest.sequence) >= Math.min(oldest.state.ttlMs, shortestMs) / 2;
  }

  /** What was read as the oldest one from {@link from} on. True where reading on may find one that is over, or that lasts less than `shortestMs`. */
  found({ lease, state: written, sequence }: WrittenLease, shortestMs: number): boolean {
    if (written === 'ended') this.end(lease);
    else if (!this.#ended.has(lease)) {
      const state = this.#aliveIn(written);
      const isFresh = this.#silenceOf(sequence) < Math.min(state.ttlMs, shortestMs);
      if (isFresh) {
        this.#from = sequence;
        this.#oldest = { state, sequence };
        return false;
      }
      this.#passed.set(lease, { state, sequence });
    }
    this.#from = sequence + 1;
    this.#oldest = undefined;
    return true;
  }

  /** What one that is {@link silent} was found to be; undefined where it is gone. One that was renewed is found where it stands now. */
  lookedAt(lease: string, written: WrittenLease | undefined): void {
    if (written?.state === 'ended') this.end(lease);
    else if (written?.sequence !== this.#passed.get(lease)?.sequence) this.#passed.delete(lease);
  }

  /** For good, so it must be certain. */
  end(lease: string): void {
    this.#passed.delete(lease);
    if (!this.#ended.has(lease)) this.#ended.set(lease, false);
  }

  settled(lease: string): void {
    if (this.#ended.has(lease)) this.#ended.set(lease, true);
  }

  hasEnded(lease: string): boolean {
    return this.#ended.has(lease);
  }

  /** Whether a lease is over whose newest state this is. */
  isSilent(state: Alive | 'foreign', sequence: number): boolean {
    return this.#silenceOf(sequence) >= this.#aliveIn(state).ttlMs;
  }

  /** As far as was read. */
  get silent(): readonly string[] {
    return [...this.#passed].filter(([, { state, sequence }]) => this.isSilent(state, sequence)).map(([lease]) => lease);
  }

  /** Silent, or ended and not settled to the end as far as is known. */
  get overdue(): readonly string[] {
    const unsettled = [...this.#ended].filter(([, isSettled]) => !isSettled).map(([lease]) => lease);
    return [...unsettled, ...this.silent];
  }

  /** How long until the next of those is silent that have little of their time left, or of `shortestMs`; undefined where there is none. */
  nextSilentMs(shortestMs: number): number | undefined {
    const living = [...this.#passed.values(), ...(this.#oldest === undefined ? [] : [this.#oldest])];
    const left = living.flatMap(({ state: { ttlMs }, sequence }) => {
      const ms = ttlMs - this.#silenceOf(sequence);
      return ms > 0 && ms <= Math.min(ttlMs, shortestMs) * LITTLE ? [ms] : [];
    });
    return left.length === 0 ? undefined : Math.min(...left);
  }

  /** What has somebody else's message in its place may last as long as any: its own process, if there is one, renews it before that. */
  #aliveIn(state: Alive | 'foreign'): Alive {
    if (state === 'foreign') return { ttlMs: this.#longestMs === 0 ? Infinity : this.#longestMs, renewal: 0 };
    this.lasts(state.ttlMs);
    return state;
  }

  /** For how long at least this has been there, in milliseconds. */
  #silenceOf(sequence: number): number {
    const mark = this.#marks.find((each) => each.sequence >= sequence);
    return mark === undefined ? 0 : this.#now() - mark.at;
  }
}
