import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { Clock } from './clock.ts';
import { isFullQueue } from './errors.ts';
import { MESSAGE_ID, type JetStream, type StoredMessage } from './jetstream.ts';
import { LIFETIME, lifetimeOf } from './lifetime.ts';
import type { Session } from './session.ts';
import type { Entry } from './stream-writer.ts';
import type { Subjects } from './subjects.ts';

/** How soon it is tried again to move what waits, twice as late each time. */
const FIRST_WAIT_MS = 25;
const LONGEST_WAIT_MS = 500;

/** What this process knows of a queue that has something beside it. */
interface Beside {
  /** How much was put there by this process, and how much of that has not been answered. */
  puts: number;
  underWay: number;
  moving: Promise<boolean> | undefined;
  timer: NodeJS.Timeout | undefined;
  waitMs: number;
}

export interface OverflowContext {
  readonly jetStream: JetStream;
  readonly subjects: Subjects;
  readonly clock: Clock;
  readonly stream: string;
  readonly session: () => Session | undefined;
  /** Frees places of a queue that is full; false where there are none. */
  readonly free: (session: Session, queue: string) => Promise<boolean>;
}

/**
 * What is taken although its queue is full. JetStream bounds what a subject has, and lets nobody pass; so it waits beside the queue, in the same stream, each
 * message under a subject of its own, and is moved into the queue as places are freed, the oldest first. Whoever knows of it moves it, and sends nothing else to
 * the queue before that is done. A message is put into the queue with an id that says where it waited, and is then removed; so it may be moved by several at once, who may
 * die at it.
 */
export class Overflow {
  readonly #context: OverflowContext;
  readonly #beside = new Map<string, Beside>();
  readonly #attended = new WeakMap<Session, Promise<void>>();
  #isClosed = false;

  constructor(context: OverflowContext) {
    this.#context = context;
  }

  /** Whether something may wait beside the queue. */
  has(queue: string): boolean {
    return this.#beside.has(queue);
  }

  /** Where a message waits; to be told of with {@link wasPut} when that was answered. */
  put(queue: string, message: Omit<Entry, 'subject'>): Entry {
    const beside = this.#know(queue);
    beside.puts += 1;
    beside.underWay += 1;
    return { ...message, subject: this.#context.subjects.waiting(queue, randomBytes(9).toString('base64url')) };
  }

  wasPut(queue: string): void {
    const beside = this.#beside.get(queue);
    if (beside !== undefined) beside.underWay -= 1;
  }

  /** Moves what it can; true where nothing is left. */
  async drain(session: Session, queue: string): Promise<boolean> {
    const beside = this.#beside.get(queue);
    if (beside === undefined) return true;
    beside.moving ??= this.#drain(session, queue, beside).finally(() => (beside.moving = undefined));
    return beside.moving;
  }

  /** Hears what others put beside queues from now on, and learns what is there already. Once a connection. */
  attend(session: Session): Promise<void> {
    const known = this.#attended.get(session);
    if (known !== undefined) return known;
    const attended = this.#attend(session);
    this.#attended.set(session, attended);
    attended.catch(() => this.#attended.delete(session));
    return attended;
  }

  close(): void {
    this.#isClosed = true;
    for (const { timer } of this.#beside.values()) clearTimeout(timer);
  }

  async #attend(session: Session): Promise<void> {
    const { jetStream, subjects, stream } = this.#context;
    const all = subjects.all('over');
    session.subscribe(all, { message: ({ subject }) => this.#know(subjects.queueBeside(subject)), refused: () => undefined });
    const found = await jetStream.streamWithSubjects(session, stream, all);
    for (const subject of Object.keys(found?.state.subjects ?? {})) this.#know(subjects.queueBeside(subject));
  }

  #know(queue: string): Beside {
    const known = this.#beside.get(queue);
    if (known !== undefined) return known;
    const beside: Beside = { puts: 0, underWay: 0, moving: undefined, timer: undefined, waitMs: FIRST_WAIT_MS };
    this.#beside.set(queue, beside);
    this.#moveLater(queue, beside);
    return beside;
  }

  #moveLater(queue: string, beside: Beside): void {
    if (this.#isClosed) return;
    beside.timer = setTimeout(() => void this.#move(queue, beside), beside.waitMs).unref();
    beside.waitMs = Math.min(2 * beside.waitMs, LONGEST_WAIT_MS);
  }

  async #move(queue: string, beside: Beside): Promise<void> {
    const session = this.#context.session();
    const done = session !== undefined && (await this.drain(session, queue).catch(() => false));
    if (!done) this.#moveLater(queue, beside);
  }

  async #drain(session: Session, queue: string, beside: Beside): Promise<boolean> {
    const { jetStream, subjects, stream, clock } = this.#context;
    await clock.set(session);
    for (;;) {
      const { puts, underWay } = beside;
      const oldest = await jetStream.message(session, stream, { seq: 1, next_by_subj: subjects.beside(queue) });
      if (oldest !== undefined) {
        if (!(await this.#moveOne(session, queue, oldest))) return false;
        beside.waitMs = FIRST_WAIT_MS;
      } else if (underWay === 0 && puts === beside.puts) {
        clearTimeout(beside.timer);
        this.#beside.delete(queue);
        return true;
      }
    }
  }

  /** False where there is no place for it. */
  async #moveOne(session: Session, queue: string, message: StoredMessage): Promise<boolean> {
    const { jetStream, subjects, stream, clock } = this.#context;
    const leftMs = Math.ceil(message.time + (lifetimeOf(message) ?? 0) - clock.now());
    const headers = { [LIFETIME]: `${leftMs}`, [MESSAGE_ID]: `over!${message.seq}` };
    while (leftMs > 0) {
      try {
        await jetStream.store(session, subjects.queue(queue), Buffer.from(message.data, 'base64'), headers);
        break;
      } catch (error) {
        if (!isFullQueue(error)) throw error;
        if (!(await this.#context.free(session, queue))) return false;
      }
    }
    await jetStream.deleteMessage(session, stream, message.seq);
    return true;
  }
}
