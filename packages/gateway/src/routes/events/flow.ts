/** A message of the client, as it came. */
export interface Frame {
  readonly data: Uint8Array;
  readonly binary: boolean;
}

/** One event that has been given to a worker and not been answered with `done`. */
interface InFlight {
  /** The message in it; undefined where it holds none. */
  readonly frame: Frame | undefined;
  readonly queuedAt: number;
  /** Whether a queue has taken it. */
  isQueued: boolean;
  /** When its worker must have answered, by the clock of the caller. */
  dueAt: number;
}

/**
 * Which of a session's events may be given to a worker, and which are still being handled. Orders grow by one for as long as the session lives, whoever
 * handles it. Knows no clock and no queue: times are milliseconds of the caller's clock.
 */
export class Flow {
  readonly #inFlight = new Map<number, InFlight>();
  #next = 0;
  #window = 1;
  #abandonments = 0;
  /** The last order of those that have been handled. */
  #lastDone = -1;

  /** How many events may be in flight from now on; those that are stay. */
  set window(events: number) {
    this.#window = events;
  }

  /** Whether several may be in flight: one reader has them, in their order. */
  get isWide(): boolean {
    return this.#window > 1;
  }

  /** Whether one more event may be given to the worker. */
  get isOpen(): boolean {
    return this.#inFlight.size < this.#window;
  }

  /** Events that a queue has taken and nobody has handled. */
  get queued(): number {
    let queued = 0;
    for (const { isQueued } of this.#inFlight.values()) if (isQueued) queued += 1;
    return queued;
  }

  /** Whether all events have been handled. */
  get isIdle(): boolean {
    return this.#inFlight.size === 0;
  }

  /** How often all that was in flight was given up. */
  get abandonments(): number {
    return this.#abandonments;
  }

  /** Whether this event is in flight. */
  has(order: number): boolean {
    return this.#inFlight.has(order);
  }

  /** The order that the next event will have. */
  get next(): number {
    return this.#next;
  }

  /** The next event, with this message in it, is in flight; answers its order. */
  begin(now: number, lifetime: number, frame?: Frame): number {
    const order = this.#next;
    this.#next += 1;
    this.#inFlight.set(order, { frame, isQueued: false, queuedAt: now, dueAt: now + lifetime });
    return order;
  }

  /** A queue has taken the event. */
  taken(order: number): void {
    const event = this.#inFlight.get(order);
    if (event !== undefined) event.isQueued = true;
  }

  /** The event has been handled: how long that took, and whether it was known that a queue had taken it; undefined where it was not in flight. */
  done(order: number, now: number): { readonly ms: number; readonly isQueued: boolean } | undefined {
    const event = this.#inFlight.get(order);
    if (event === undefined) return undefined;
    this.#inFlight.delete(order);
    this.#lastDone = Math.max(this.#lastDone, order);
    return { ms: now - event.queuedAt, isQueued: event.isQueued };
  }

  /** The event is still being handled: its time begins anew. */
  working(order: number, now: number, lifetime: number): void {
    const event = this.#inFlight.get(order);
    if (event !== undefined) event.dueAt = now + lifetime;
  }

  /** When the first answer is due; Infinity where none is. */
  get dueAt(): number {
    let first = Infinity;
    for (const { dueAt } of this.#inFlight.values()) if (dueAt < first) first = dueAt;
    return first;
  }

  /**
   * Nobody handles what is in flight any more: how many events of those that a queue has taken, how many of the others, how many that a later one has overtaken, which
   * its reader was never given, and the messages in the rest. Another worker begins with one event at a time.
   */
  abandon(): { readonly undone: number; readonly unqueued: number; readonly overtaken: number; readonly frames: readonly Frame[] } {
    const undone = this.queued;
    const unqueued = this.#inFlight.size - undone;
    const left = [...this.#inFlight].filter(([order]) => order > this.#lastDone);
    const overtaken = this.#inFlight.size - left.length;
    const frames = left.flatMap(([, { frame }]) => frame ?? []);
    this.#inFlight.clear();
    this.#abandonments += 1;
    this.#window = 1;
    return { undone, unqueued, overtaken, frames };
  }
}
