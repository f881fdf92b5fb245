import { randomBytes } from 'node:crypto';
import { perSessionTransport, type SessionTransport } from '../counters.ts';
import type { Deadlines } from './deadlines.ts';
import type { Outboxes } from './outbox.ts';
import type { RightsEnd, Session, SessionHost, SessionTicks } from './session.ts';

/** Bytes of a session's id that nobody can guess. */
const SECRET_BYTES = 16;

/** How long the sessions of one transport may be silent, in milliseconds. */
export interface SessionTimes {
  /** Between pings. */
  readonly interval: number;
  /** What an answer to one may take. */
  readonly timeout: number;
  /** From the first byte of a message to its last. */
  readonly message: number;
}

/** All sessions of a process, and what they share. */
export class Sessions implements SessionHost {
  readonly outboxes: Outboxes;
  readonly deadlines: Deadlines;
  readonly ticks: Readonly<Record<SessionTransport, SessionTicks>>;
  readonly now: () => number;
  readonly rights: RightsEnd;
  readonly #address: string;
  readonly #sessions: Session[] = [];
  readonly #counts = perSessionTransport();
  /** Those whose id has been told to somebody. */
  readonly #byId = new Map<string, Session>();
  #serial = 0;
  #whenNone: (() => void) | undefined;

  /** `now`: milliseconds, never going back. `address`: of this process in the fleet; it begins each id, so that any gateway knows where to find the session. */
  constructor(
    outboxes: Outboxes,
    deadlines: Deadlines,
    times: Readonly<Record<SessionTransport, SessionTimes>>,
    now: () => number,
    address: string,
    rights: RightsEnd,
  ) {
    this.rights = rights;
    this.outboxes = outboxes;
    this.deadlines = deadlines;
    this.ticks = { websocket: ticksOf(deadlines, times.websocket), sse: ticksOf(deadlines, times.sse), stream: ticksOf(deadlines, times.stream) };
    this.now = now;
    this.#address = address;
  }

  /** Those that are being closed included. */
  get size(): number {
    return this.#sessions.length;
  }

  /** The same, by transport. */
  get counts(): Readonly<Record<SessionTransport, number>> {
    return { ...this.#counts };
  }

  /** As they are at this moment. */
  all(): Session[] {
    return [...this.#sessions];
  }

  /** The session of this process that has this id. */
  find(id: string): Session | undefined {
    return this.#byId.get(id);
  }

  add(session: Session): void {
    session.place = this.#sessions.push(session) - 1;
    session.serial = this.#serial += 1;
    this.#counts[session.transport] += 1;
    this.outboxes.counters.opened[session.transport] += 1;
  }

  /** An id for a session that has not begun. */
  newId(): string {
    return `${this.#address}-${randomBytes(SECRET_BYTES).toString('base64url')}`;
  }

  name(session: Session, known?: string): string {
    const id = known ?? this.newId();
    this.#byId.set(id, session);
    return id;
  }

  remove(session: Session, id: string | undefined): void {
    const last = this.#sessions.pop();
    if (last !== undefined && last !== session) {
      this.#sessions[session.place] = last;
      last.place = session.place;
    }
    this.#counts[session.transport] -= 1;
    if (id !== undefined) this.#byId.delete(id);
    session.seat?.release();
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

function ticksOf(deadlines: Deadlines, { interval, timeout, message }: SessionTimes): SessionTicks {
  return { interval: deadlines.ticks(interval), timeout: deadlines.ticks(timeout), message: deadlines.ticks(message) };
}
