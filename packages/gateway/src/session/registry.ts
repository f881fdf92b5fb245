import type { Deadlines } from './deadlines.ts';
import type { Outboxes } from './outbox.ts';
import type { Session } from './session.ts';

export interface SessionTimes {
  /** Milliseconds between pings. */
  readonly interval: number;
  /** Milliseconds that an answer to one may take. */
  readonly timeout: number;
  /** Milliseconds from the first byte of a message to its last. */
  readonly message: number;
}

/** All sessions of a process, and what they share. */
export class Sessions {
  readonly outboxes: Outboxes;
  readonly deadlines: Deadlines;
  readonly intervalTicks: number;
  readonly timeoutTicks: number;
  readonly messageTicks: number;
  readonly #sessions: Session[] = [];
  #whenNone: (() => void) | undefined;

  constructor(outboxes: Outboxes, deadlines: Deadlines, times: SessionTimes) {
    this.outboxes = outboxes;
    this.deadlines = deadlines;
    this.intervalTicks = deadlines.ticks(times.interval);
    this.timeoutTicks = deadlines.ticks(times.timeout);
    this.messageTicks = deadlines.ticks(times.message);
  }

  /** Those that are being closed included. */
  get size(): number {
    return this.#sessions.length;
  }

  /** As they are at this moment. */
  all(): Session[] {
    return [...this.#sessions];
  }

  add(session: Session): void {
    session.place = this.#sessions.push(session) - 1;
    this.outboxes.counters.opened[session.link.kind] += 1;
  }

  remove(session: Session): void {
    const last = this.#sessions.pop();
    if (last !== undefined && last !== session) {
      this.#sessions[session.place] = last;
      last.place = session.place;
    }
    if (this.#sessions.length === 0) this.#whenNone?.();
  }

  /** Resolves as soon as no session is left. */
  none(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#sessions.length === 0) resolve();
      else this.#whenNone = resolve;
    });
  }
}
