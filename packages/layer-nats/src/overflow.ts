import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { BrokerClock } from './broker-clock.ts';
import { isFullQueue } from './errors.ts';
import { MESSAGE_ID, type JetStream, type StoredMessage } from './jetstream.ts';
import { LIFETIME, lifetimeOf } from './lifetime.ts';
import type { Session } from './session.ts';
import type { StreamMessage } from './stream-writer.ts';
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
  /** Somebody here waits until all is moved, so that it is not left to others. */
  isWanted: boolean;
  timer: NodeJS.Timeout | undefined;
  waitMs: number;
}

/** What became of a message: `seen` where another process has moved it, `full` where there is no place for it. */
type Moved = 'moved' | 'seen' | 'full';

export interface OverflowContext {
  readonly jetStream: JetStream;
  readonly subjects: Subjects;
  readonly clock: BrokerClock;
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
  put(queue: string, message: Omit<StreamMessage, 'subject'>): StreamMessage {
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
    beside.isWanted = true;
    return this.#drainOnce(session, queue, beside);
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
    const beside: Beside = { puts: 0, underWay: 0, moving: undefined, isWanted: false, timer: undefined, waitMs: FIRST_WAIT_MS };
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
    const done = session !== undefined && (await this.#drainOnce(session, queue, beside).catch(() => false));
    if (!done) this.#moveLater(queue, beside);
  }

  #drainOnce(session: Session, queue: string, beside: Beside): Promise<boolean> {
    return (beside.moving ??= this.#drain(session, queue, beside).finally(() => Object.assign(beside, { moving: undefined, isWanted: false })));
  }

  async #drain(session: Session, queue: string, beside: Beside): Promise<boolean> {
    await this.#context.clock.set(session);
    for (;;) {
      const { puts, underWay } = beside;
      const oldest = await this.#oldest(session, queue, 1);
      if (oldest !== undefined) {
        if (!(await this.#moveAll(session, queue, beside, oldest))) return false;
      } else if (underWay === 0 && puts === beside.puts) {
        clearTimeout(beside.timer);
        this.#beside.delete(queue);
        return true;
      }
    }
  }

  /** What waits, from the oldest on, one after the other; each is removed while the next one is moved. False where something may be left. */
  async #moveAll(session: Session, queue: string, beside: Beside, oldest: StoredMessage): Promise<boolean> {
    const removals: Promise<boolean>[] = [];
    let goesOn = true;
    for (let message: StoredMessage | undefined = oldest; message !== undefined && goesOn;) {
      const [outcome, next]: readonly [Moved, StoredMessage | undefined] = await Promise.all([
        this.#moveOne(session, queue, message),
        this.#oldest(session, queue, message.seq + 1),
      ]);
      if (outcome !== 'full') removals.push(this.#remove(session, beside, message));
      // Where another process is at it both would only hold each other up.
      goesOn = outcome === 'moved' || (outcome === 'seen' && beside.isWanted);
      message = next;
    }
    return (await Promise.all(removals)).every(Boolean) && goesOn;
  }

  /** False where it may still be there. */
  async #remove(session: Session, beside: Beside, message: StoredMessage): Promise<boolean> {
    try {
      if (await this.#context.jetStream.deleteQuickly(session, this.#context.stream, message)) beside.waitMs = FIRST_WAIT_MS;
      return true;
    } catch {
      return false;
    }
  }

  #oldest(session: Session, queue: string, from: number): Promise<StoredMessage | undefined> {
    const { jetStream, subjects, stream } = this.#context;
    return jetStream.message(session, stream, { seq: from, next_by_subj: subjects.beside(queue) });
  }

  async #moveOne(session: Session, queue: string, message: StoredMessage): Promise<Moved> {
    const { jetStream, subjects, clock } = this.#context;
    const leftMs = Math.ceil(message.time + (lifetimeOf(message) ?? 0) - clock.now());
    if (leftMs <= 0) return 'moved';
    const headers = { [LIFETIME]: `${leftMs}`, [MESSAGE_ID]: `over!${message.seq}` };
    for (;;) {
      try {
        const { duplicate = false } = await jetStream.store(session, subjects.queue(queue), Buffer.from(message.data, 'base64'), headers);
        return duplicate ? 'seen' : 'moved';
      } catch (error) {
        if (!isFullQueue(error)) throw error;
        if (!(await this.#context.free(session, queue))) return 'full';
      }
    }
  }
}
