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

/** How long reading holds the event loop at once, in milliseconds. */
const SLICE_MS = 5;

/** Whose turn it is to be read: peers that send more than can be served at once wait for each other, and hold up nobody else for longer than a slice. */
export class ReadTurns {
  readonly #clock: ReadClock;
  #waiting: Reader[] = [];
  #isScheduled = false;
  #until = 0;

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
