import { isLayerError } from '@busgate/layer/driver';
import { JetStreamError } from './errors.ts';
import type { JetStream, Stored } from './jetstream.ts';
import type { Session } from './session.ts';

/** A message for a stream. */
export interface Entry {
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

/** Messages of one subject that a stream has refused. */
export interface Refusal {
  readonly why: JetStreamError;
  readonly subject: string;
  readonly messages: number;
  /** How often the first of them was sent, and how long ago it was called for. */
  readonly attempts: number;
  readonly waitedMs: number;
}

/** A call that has not been answered. */
interface Call<Ready> {
  /** What must stay in order among itself. */
  readonly key: string;
  readonly make: (ready: Ready) => Entry;
  readonly resolve: (stored: Stored) => void;
  readonly reject: (error: unknown) => void;
  readonly calledAt: number;
  subject: string;
  attempts: number;
  /** Its place among all that was sent. */
  place: number;
}

/** What is under way of one key. */
interface UnderWay<Ready> {
  unanswered: number;
  /** Place of the last message that was kept, or may have been. */
  keptAt: number;
  /** What was not taken and waits until it is clear whether something after it was. */
  refused: { readonly call: Call<Ready>; readonly why: JetStreamError }[];
  /** Calls made since, which may not pass it. */
  behind: Call<Ready>[];
}

/** Writes to one stream. Messages leave in the order of the calls whatever has to be made ready before, and one that is sent again passes none of its key. */
export class StreamWriter<Ready> {
  readonly #writing: Writing<Ready>;
  readonly #lines = new WeakMap<Session, Line<Ready>>();

  constructor(writing: Writing<Ready>) {
    this.#writing = writing;
  }

  /**
   * Resolves when the stream has kept a message of `bytes`; `make` is called when the stream is ready, right before the message is sent.
   * @throws JetStreamError where it was certainly not kept
   */
  write(session: Session, { key, bytes }: { readonly key: string; readonly bytes: number }, make: (ready: Ready) => Entry): Promise<Stored> {
    const line = this.#lines.get(session) ?? new Line(session, this.#writing);
    this.#lines.set(session, line);
    return session.count(bytes, () => line.add(key, make));
  }
}

class Line<Ready> {
  readonly #session: Session;
  readonly #writing: Writing<Ready>;
  readonly #underWay = new Map<string, UnderWay<Ready>>();
  #waiting: Call<Ready>[] = [];
  #preparing = false;
  #sent = 0;

  constructor(session: Session, writing: Writing<Ready>) {
    this.#session = session;
    this.#writing = writing;
  }

  add(key: string, make: (ready: Ready) => Entry): Promise<Stored> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, make, resolve, reject, calledAt: performance.now(), subject: '', attempts: 0, place: 0 });
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

  #takeWaiting(): Call<Ready>[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }

  #send(call: Call<Ready>, ready: Ready): void {
    const { key } = call;
    let underWay = this.#underWay.get(key);
    if (underWay === undefined) this.#underWay.set(key, (underWay = { unanswered: 0, keptAt: 0, refused: [], behind: [] }));
    if (underWay.refused.length > 0) {
      underWay.behind.push(call);
      return;
    }
    this.#sent += 1;
    call.place = this.#sent;
    call.attempts += 1;
    underWay.unanswered += 1;
    const { subject, payload, headers } = call.make(ready);
    call.subject = subject;
    this.#writing.jetStream.store(this.#session, subject, payload, headers).then(
      (stored) => this.#answered(call, () => call.resolve(stored), undefined),
      (error: unknown) => this.#answered(call, () => call.reject(error), error),
    );
  }

  #answered(call: Call<Ready>, tell: () => void, error: unknown): void {
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
  async #settle(key: string, underWay: UnderWay<Ready>): Promise<void> {
    const refused = underWay.refused.toSorted((a, b) => a.call.place - b.call.place);
    const again = new Set<Call<Ready>>();
    for (const { call } of refused) if (call.place > underWay.keptAt) again.add(call);
    const [first] = again;
    if (first !== undefined && !(await this.#mayTryAgain(first, refused.at(-1)?.why, again.size))) again.clear();
    for (const { call, why } of refused) if (!again.has(call)) call.reject(why);
    this.#underWay.delete(key);
    this.#waiting.unshift(...again, ...underWay.behind);
    if (!this.#preparing && this.#waiting.length > 0) void this.#sendWaiting();
  }

  async #mayTryAgain({ subject, attempts, calledAt }: Call<Ready>, why: JetStreamError | undefined, messages: number): Promise<boolean> {
    if (why === undefined) return false;
    const refusal: Refusal = { why, subject, messages, attempts, waitedMs: performance.now() - calledAt };
    return this.#writing.mayTryAgain(this.#session, refusal).catch(() => false);
  }
}
