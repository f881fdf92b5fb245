/** What has bytes that were not looked at. */
export interface Reader {
  /** Whether it waits for its turn; the turns' own. */
  isWaiting: boolean;
  /** Reads, for a fraction of a millisecond; true where more could be read at once. */
  read(): boolean;
}

export interface ReadClock {
  /** Milliseconds, never going back. */
  now(): number;
  /** Runs `step` in the loop's next turn, after what is to be read has been read. */
  defer(step: () => void): void;
}

/** Those who have to wait are looked at this often, in milliseconds. */
const LATER_MS = 20;
/** And once in this time at least, in case they need not wait any more. */
const MAX_LATER_MS = 1000;

/** How long reading holds the event loop at once, in milliseconds. */
const SLICE_MS = 5;

/** Whose turn it is to be read: peers that send more than can be served at once wait for each other, and hold up nobody else for longer than a slice. */
export class ReadTurns {
  readonly #clock: ReadClock;
  #waiting: Reader[] = [];
  #isScheduled = false;
  #until = 0;
  /** Those who may not be read yet, by when they may: how many times {@link LATER_MS}. */
  readonly #later = new Map<number, Reader[]>();
  #laterSlot = 0;

  constructor(clock: ReadClock) {
    this.#clock = clock;
  }

  /** Something has come for `reader`, which does not wait: it is read at once where nobody waits and there is time. */
  take(reader: Reader): void {
    if (!this.#isScheduled) this.#schedule();
    if (this.#waiting.length > 0 || this.#clock.now() >= this.#until || reader.read()) this.add(reader);
  }

  /** It is read in a turn to come. */
  add(reader: Reader): void {
    if (reader.isWaiting) return;
    reader.isWaiting = true;
    this.#waiting.push(reader);
    if (!this.#isScheduled) this.#schedule();
  }

  /** It is read `ms` from now on, or somewhat later. One timer for all, while there are any. */
  later(reader: Reader, ms: number): void {
    if (reader.isWaiting) return;
    reader.isWaiting = true;
    const now = this.#clock.now();
    if (this.#later.size === 0) {
      this.#laterSlot = Math.floor(now / LATER_MS);
      setTimeout(this.#wake, LATER_MS).unref();
    }
    const slot = Math.ceil((now + Math.min(ms, MAX_LATER_MS)) / LATER_MS);
    const readers = this.#later.get(slot);
    if (readers === undefined) this.#later.set(slot, [reader]);
    else readers.push(reader);
  }

  readonly #wake = (): void => {
    const slot = Math.floor(this.#clock.now() / LATER_MS);
    for (; this.#laterSlot <= slot; this.#laterSlot += 1) {
      const readers = this.#later.get(this.#laterSlot) ?? [];
      this.#later.delete(this.#laterSlot);
      this.#waiting.push(...readers);
    }
    if (this.#waiting.length > 0 && !this.#isScheduled) this.#schedule();
    if (this.#later.size > 0) setTimeout(this.#wake, LATER_MS).unref();
  };

  #schedule(): void {
    this.#isScheduled = true;
    this.#until = this.#clock.now() + SLICE_MS;
    this.#clock.defer(this.#run);
  }

  readonly #run = (): void => {
    if (this.#waiting.length > 0) this.#readWaiting();
    this.#isScheduled = false;
    if (this.#waiting.length > 0) this.#schedule();
  };

  #readWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const until = this.#clock.now() + SLICE_MS;
    let index = 0;
    do {
      const reader = waiting[index] as Reader;
      reader.isWaiting = false;
      if (reader.read()) this.add(reader);
      index += 1;
    } while (index < waiting.length && this.#clock.now() < until);
    // Those that had no turn come first.
    if (index < waiting.length) this.#waiting = [...waiting.slice(index), ...this.#waiting];
  }
}
