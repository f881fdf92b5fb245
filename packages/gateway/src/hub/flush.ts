/** How long a flush holds the event loop, in milliseconds. */
const SLICE_MS = 2;
/** The clock is looked at once in so many visits; a visit takes about 5 µs. */
const VISITS_A_LOOK = 64;
/** What looking for what else a session is due may cost, in rooms looked at, before it has saved a write: one saved is worth a hundred looks. */
const LOOKS_A_LANE = 8;
const LOOKS_A_WRITE = 100;

export interface FlushClock {
  /** Milliseconds, never going back. */
  now(): number;
  /** Runs `step` in the loop's next turn, after what is to be read has been read. */
  defer(step: () => void): void;
}

/** How a visit is bounded. */
export interface FlushTurn {
  /**
   * All lanes that have something to send, where a session of so many rooms should be written what any of them has for it, at once; undefined where that would cost
   * more than it has been found to save.
   */
  gathers(rooms: number): readonly Flushed[] | undefined;
  /** So many writes were saved by it. */
  saved(writes: number): void;
  /** True once the time is up. */
  isOver(): boolean;
}

/** What is flushed: the members of a room that share one encoding. */
export interface Flushed {
  readonly room: string;
  /** Whether it waits for its turn; the flush's own. */
  isDue: boolean;
  readonly hasUnsent: boolean;
  /** Sends a batch. Answers whether everybody had it; where the time was up before, the next call goes on. */
  visit(turn: FlushTurn): boolean;
}

/** Whose turn it is: lanes with something to send are visited one after the other, in slices, so that a large room holds up no other. */
export class Flush implements FlushTurn {
  readonly #clock: FlushClock;
  #due: Flushed[] = [];
  #lanes: readonly Flushed[] = [];
  /** Rooms that may be looked at for nothing. */
  #looks = 0;
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

  gathers(rooms: number): readonly Flushed[] | undefined {
    const looks = Math.min(rooms, this.#lanes.length);
    if (this.#lanes.length < 2 || looks > this.#looks) return undefined;
    this.#looks -= looks;
    return this.#lanes;
  }

  saved(writes: number): void {
    this.#looks += writes * LOOKS_A_WRITE;
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
    this.#lanes = due;
    this.#looks = due.length * LOOKS_A_LANE;
    let index = 0;
    for (; index < due.length && !this.#isOver; index += 1) {
      const lane = due[index] as Flushed;
      lane.isDue = false;
      if (!lane.visit(this) || lane.hasUnsent) this.mark(lane);
    }
    this.#lanes = [];
    // Those that had no turn come first.
    if (index < due.length) this.#due = [...due.slice(index), ...this.#due];
    if (this.#due.length > 0) this.#schedule();
  }
}
