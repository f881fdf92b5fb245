/** How long a flush holds the event loop, in milliseconds. */
const SLICE_MS = 2;
/** The clock is looked at once in so many visits; a visit takes about 5 µs. */
const VISITS_A_LOOK = 64;
const LOOKS_A_LANE = 32;

export interface FlushClock {
  /** Milliseconds, never going back. */
  now(): number;
  /** Runs `step` in the loop's next turn, after what is to be read has been read. */
  defer(step: () => void): void;
}

/** How a visit is bounded. */
export interface Turn {
  /** Whether a session of so many rooms should be asked for all of them, so that it is written once: others than this one may have something for it too. */
  gathers(rooms: number): boolean;
  /** True once the time is up. */
  isOver(): boolean;
}

/** What is flushed: the members of a room that share one encoding. */
export interface Flushed {
  /** Whether it waits for its turn; the flush's own. */
  isDue: boolean;
  readonly hasUnsent: boolean;
  /** Sends a batch. Answers whether everybody had it; where the time was up before, the next call goes on. */
  visit(turn: Turn): boolean;
}

/** Whose turn it is: lanes with something to send are visited one after the other, in slices, so that a large room holds up no other. */
export class Flush implements Turn {
  readonly #clock: FlushClock;
  #due: Flushed[] = [];
  #lanes = 0;
  #isScheduled = false;
  #until = 0;
  #visits = 0;
  #isOver = false;

  constructor(clock: FlushClock) {
    this.#clock = clock;
  }

  /** The lane has something to send: it leaves at the end of this turn of the loop. */
  mark(lane: Flushed): void {
    if (lane.isDue) return;
    lane.isDue = true;
    this.#due.push(lane);
    this.#schedule();
  }

  /** One write saved is worth a look at some hundred rooms; with few lanes due, most looks are in vain. */
  gathers(rooms: number): boolean {
    return this.#lanes > 1 && rooms <= this.#lanes * LOOKS_A_LANE;
  }

  isOver(): boolean {
    this.#visits += 1;
    if (this.#visits % VISITS_A_LOOK === 0 && this.#clock.now() >= this.#until) this.#isOver = true;
    return this.#isOver;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.defer(() => this.#run());
  }

  /** One visit to each lane that is due, for as long as the slice lasts. What is left, or came meanwhile, waits for the loop's next turn. */
  #run(): void {
    this.#isScheduled = false;
    const due = this.#due;
    this.#due = [];
    this.#until = this.#clock.now() + SLICE_MS;
    this.#isOver = false;
    this.#lanes = due.length;
    let index = 0;
    for (; index < due.length && !this.#isOver; index += 1) {
      const lane = due[index] as Flushed;
      lane.isDue = false;
      if (!lane.visit(this) || lane.hasUnsent) this.mark(lane);
    }
    // Those that had no turn come first.
    if (index < due.length) this.#due = [...due.slice(index), ...this.#due];
    if (this.#due.length > 0) this.#schedule();
  }
}
