import { isLayerError } from '@busgate/layer/driver';
import { JetStreamError } from './errors.ts';
import type { JetStream, Stored } from './jetstream.ts';
import type { Session } from './session.ts';

/** A message for a stream. */
export interface StreamMessage {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Writing<Ready> {
  readonly jetStream: JetStream;
  /** Makes the stream ready to take messages; called before each write, so what is known is to be remembered. */
  readonly prepare: (session: Session) => Promise<Ready>;
  /** Whether what the stream has refused is to be sent once more: none of it was kept, and nothing that was sent after it. */
  readonly mayTryAgain: (session: Session, refusal: Refusal) => Promise<boolean>;
}

/** How a message is written. */
export interface Write {
  /** What must stay in order among itself. */
  readonly key: string;
  readonly bytes: number;
  /**
   * What is sent in its place where it may not be tried again, if anything. As long as that may come nothing of the key is sent after it, so that nothing passes
   * it.
   */
  readonly instead?: (why: JetStreamError) => (() => StreamMessage) | undefined;
}

/** Messages of one key that a stream has refused. */
export interface Refusal {
  readonly why: JetStreamError;
  readonly key: string;
  /** How often the first of them was sent, and how long ago it was called for. */
  readonly attempts: number;
  readonly waitedMs: number;
}

/** A call that has not been answered. */
interface StreamCall<Ready> {
  /** What must stay in order among itself. */
  readonly key: string;
  make: (ready: Ready) => StreamMessage;
  instead: Write['instead'];
  readonly resolve: (stored: Stored) => void;
  readonly reject: (error: unknown) => void;
  readonly calledAt: number;
  attempts: number;
  /** Its place among all that was sent. */
  place: number;
}

interface RefusedCall<Ready> {
  readonly call: StreamCall<Ready>;
  readonly why: JetStreamError;
}

/** What is under way of one key. */
interface KeyUnderWay<Ready> {
  unanswered: number;
  /** Place of the last message that was kept, or may have been. */
  keptAt: number;
  /** What was not taken and waits until it is clear whether something after it was. */
  refused: RefusedCall<Ready>[];
  /** What was sent last may be sent otherwise. */
  barred: boolean;
  /** Calls made since, which may not pass it. */
  behind: StreamCall<Ready>[];
}

/** Writes to one stream. Messages leave in the order of the calls whatever has to be made ready before, and one that is sent again passes none of its key. */
export class StreamWriter<Ready> {
  readonly #writing: Writing<Ready>;
  readonly #lines = new WeakMap<Session, OrderedCalls<Ready>>();

  constructor(writing: Writing<Ready>) {
    this.#writing = writing;
  }

  /**
   * Resolves when the stream has kept a message of `bytes`; `make` is called when the stream is ready, right before the message is sent. A JetStreamError that
   * it throws is as if the stream had refused the message.
   * @throws JetStreamError where it was certainly not kept
   */
  write(session: Session, write: Write, make: (ready: Ready) => StreamMessage): Promise<Stored> {
    const line = this.#lines.get(session) ?? new OrderedCalls(session, this.#writing);
    this.#lines.set(session, line);
    return session.count(write.bytes, () => line.add(write, make));
  }
}

class OrderedCalls<Ready> {
  readonly #session: Session;
  readonly #writing: Writing<Ready>;
  readonly #underWay = new Map<string, KeyUnderWay<Ready>>();
  #waiting: StreamCall<Ready>[] = [];
  #preparing = false;
  #sent = 0;

  constructor(session: Session, writing: Writing<Ready>) {
    this.#session = session;
    this.#writing = writing;
  }

  add({ key, instead }: Write, make: (ready: Ready) => StreamMessage): Promise<Stored> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, make, instead, resolve, reject, calledAt: performance.now(), attempts: 0, place: 0 });
      if (!this.#preparing) void this.#sendWaiting();
    });
  }

  async #sendWaiting(): Promise<void> {
    this.#preparing = true;
    while (this.#waiting.length > 0) {
      try {
        const ready = await this.#writing.prepare(this.#session);
        for (const call of this.#takeWaiting()) this.#send(call, ready);
      } catch (error) {
        for (const call of this.#takeWaiting()) call.reject(error);
      }
    }
    this.#preparing = false;
  }

  #takeWaiting(): StreamCall<Ready>[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }

  #send(call: StreamCall<Ready>, ready: Ready): void {
    const { key } = call;
    let underWay = this.#underWay.get(key);
    if (underWay === undefined) this.#underWay.set(key, (underWay = { unanswered: 0, keptAt: 0, refused: [], barred: false, behind: [] }));
    if (underWay.refused.length > 0 || underWay.barred) {
      underWay.behind.push(call);
      return;
    }
    this.#sent += 1;
    call.place = this.#sent;
    call.attempts += 1;
    underWay.unanswered += 1;
    underWay.barred = call.instead !== undefined;
    this.#store(call, ready).then(
      (stored) => this.#answered(call, () => call.resolve(stored), undefined),
      (error: unknown) => this.#answered(call, () => call.reject(error), error),
    );
  }

  /** It leaves before this returns. */
  async #store(call: StreamCall<Ready>, ready: Ready): Promise<Stored> {
    const { subject, payload, headers } = call.make(ready);
    return this.#writing.jetStream.store(this.#session, subject, payload, headers);
  }

  #answered(call: StreamCall<Ready>, tell: () => void, error: unknown): void {
    const underWay = this.#underWay.get(call.key);
    if (underWay === undefined) return;
    underWay.unanswered -= 1;
    const isRefusal = error instanceof JetStreamError;
    if (!isRefusal && !isLayerError(error, 'LAYER_AWAY')) underWay.keptAt = Math.max(underWay.keptAt, call.place);
    if (isRefusal && call.place > underWay.keptAt) underWay.refused.push({ call, why: error });
    else tell();
    if (underWay.unanswered === 0) void this.#settle(call.key, underWay);
  }

  /** All that was sent has been answered: what nothing has passed may be tried again. */
  async #settle(key: string, underWay: KeyUnderWay<Ready>): Promise<void> {
    const refused = underWay.refused.toSorted((a, b) => a.call.place - b.call.place);
    const unpassed = refused.filter(({ call }) => call.place > underWay.keptAt);
    const again = await this.#sentAgain(unpassed);
    for (const { call, why } of refused) if (!again.includes(call)) call.reject(why);
    this.#underWay.delete(key);
    this.#waiting.unshift(...again, ...underWay.behind);
    if (!this.#preparing && this.#waiting.length > 0) void this.#sendWaiting();
  }

  /** All of them, or those that turn to something else. */
  async #sentAgain(refused: readonly RefusedCall<Ready>[]): Promise<readonly StreamCall<Ready>[]> {
    const [first] = refused;
    const last = refused.at(-1);
    if (first === undefined || last === undefined) return [];
    // What can be sent otherwise need not wait until it is clear whether it may be tried again.
    const canAll = refused.every(({ call, why }) => call.instead?.(why) !== undefined);
    const mayAll = !canAll && (await this.#mayTryAgain(first.call, last.why));
    return refused.filter(({ call, why }) => mayAll || turnsTo(call, call.instead?.(why))).map(({ call }) => call);
  }

  #mayTryAgain({ key, attempts, calledAt }: StreamCall<Ready>, why: JetStreamError): Promise<boolean> {
    const refusal: Refusal = { why, key, attempts, waitedMs: performance.now() - calledAt };
    return this.#writing.mayTryAgain(this.#session, refusal).catch(() => false);
  }
}

/** Whether there is something to be sent in its place; once. */
function turnsTo<Ready>(call: StreamCall<Ready>, other: (() => StreamMessage) | undefined): boolean {
  call.instead = undefined;
  if (other === undefined) return false;
  call.make = other;
  return true;
}
