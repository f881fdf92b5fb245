import { randomBytes } from 'node:crypto';
import { withResolvers, type Resolvers, LayerError, Patience, UnderWay, type DriverEvents } from '@busgate/layer/driver';
import type { Arrival, Connection, Receiver, Subscribed } from './connection.ts';
import { away, forbidden, unanswered } from './errors.ts';

/** What a server has not answered by then it has lost, or the part of it that should answer is not there. */
export const REQUEST_TIMEOUT_MS = 5000;

/** So long may another server take to give a better answer than the one that came. */
const SECOND_ANSWER_MS = 500;

type Headers = Readonly<Record<string, string>>;

interface Publication {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly reply: string | undefined;
  readonly headers: Headers | undefined;
}

/** What was published in one turn of the event loop: it leaves in one write, followed by one ping, whose answer is the answer to all of it. */
interface SentTurn {
  readonly publications: Publication[];
  bytes: number;
  /** The answer to everything in it, and to what was published on each subject, which the server may refuse. */
  readonly processed: Resolvers<void>;
  readonly subjects: Map<string, Resolvers<void>>;
}

/** Where messages arrive that were asked for. */
export interface Channel extends Subscribed {
  readonly reply: string;
}

/** How a question is asked. */
interface RequestOptions {
  readonly timeoutMs?: number;
  /** Whether an answer is the last word, where several servers may answer; without it each is. */
  readonly isFinal?: (answer: Arrival) => boolean;
}

interface OpenRequest {
  readonly subject: string;
  readonly resolve: (arrival: Arrival) => void;
  readonly reject: (error: LayerError) => void;
}

/**
 * One connection's life: what is published through it is confirmed, what is asked is answered, and when it ends everything still unanswered
 * rejects with OUTCOME_UNKNOWN.
 */
export class Session {
  readonly connection: Connection;
  readonly #tell: DriverEvents['fault'];
  readonly #inbox = `_INBOX.${randomBytes(12).toString('hex')}`;
  readonly #answers = new Map<string, (arrival: Arrival) => void>();
  readonly #requests = new Map<string, OpenRequest>();
  readonly #toldOfEnd = new Set<(error: LayerError) => void>();
  readonly #unanswered = new Set<SentTurn>();
  #turn: SentTurn | undefined;
  readonly #underWay = new UnderWay();
  #issued = 0;
  #ended: string | undefined;

  constructor(connection: Connection, fault: DriverEvents['fault']) {
    this.connection = connection;
    this.#tell = fault;
    connection.subscribe(`${this.#inbox}.*`, {
      message: (arrival) => this.#answers.get(arrival.subject.slice(this.#inbox.length + 1))?.(arrival),
      refused: (error) => this.end(error.message),
    });
    void connection.ended.then((reason) => this.end(reason));
  }

  /** Why it has ended, if it has. */
  get ended(): string | undefined {
    return this.#ended;
  }

  /**
   * Resolves when the server has processed it.
   * @throws LayerError LAYER_AWAY, OUTCOME_UNKNOWN, REFUSED, MESSAGE_TOO_LARGE
   */
  publish(subject: string, payload: Uint8Array, reply?: string, headers?: Headers): Promise<void> {
    const fault = this.#refusalOf(payload.length + sizeOf(headers)) ?? this.#overload();
    if (fault !== undefined) return Promise.reject(fault);
    const turn = (this.#turn ??= this.#newTurn());
    turn.publications.push({ subject, payload, reply, headers });
    turn.bytes += payload.length;
    this.#underWay.begin(payload.length);
    const answer = turn.subjects.get(subject) ?? outcome<void>();
    turn.subjects.set(subject, answer);
    return answer.promise;
  }

  /** Like {@link publish}; resolves with false where the server knows of nobody who listens. */
  async publishTo(subject: string, payload: Uint8Array): Promise<boolean> {
    let heard = true;
    const { reply, close } = this.listen((answer) => {
      if (answer.status === 503) heard = false;
    });
    try {
      await this.publish(subject, payload, reply);
      return heard;
    } finally {
      close();
    }
  }

  /** Resolves when the server has processed everything that was sent in this turn and before. */
  async confirm(): Promise<void> {
    if (this.#ended !== undefined) throw away(this.#ended);
    await (this.#turn ??= this.#newTurn()).processed.promise;
  }

  /** Sends what waits, then subscribes. */
  subscribe(subject: string, receiver: Receiver): Subscribed {
    this.#flush();
    if (this.#ended !== undefined) throw away(this.#ended);
    return this.connection.subscribe(subject, receiver);
  }

  /**
   * Runs a call that sends `bytes` in a request, perhaps not at once, as one that is under way from now on.
   * @throws LayerError LAYER_AWAY, MESSAGE_TOO_LARGE
   */
  async count<T>(bytes: number, call: () => Promise<T>): Promise<T> {
    const fault = this.#refusalOf(bytes) ?? this.#overload();
    if (fault !== undefined) throw fault;
    this.#underWay.begin(bytes);
    try {
      return await call();
    } finally {
      this.#underWay.end(bytes);
    }
  }

  /**
   * Asks one question; a status 503 is an answer like any other. An answer that is not final counts where no other one follows it soon.
   * @throws LayerError OUTCOME_UNKNOWN where no answer came in time; MESSAGE_TOO_LARGE
   */
  async request(
    subject: string,
    payload: Uint8Array,
    headers?: Headers,
    { timeoutMs = REQUEST_TIMEOUT_MS, isFinal = () => true }: RequestOptions = {},
  ): Promise<Arrival> {
    const fault = this.#refusalOf(payload.length + sizeOf(headers));
    if (fault !== undefined) throw fault;
    const { promise, resolve, reject } = outcome<Arrival>();
    let patience = new Patience(timeoutMs, () => reject(unanswered(`${subject} within ${timeoutMs} ms`, 'unresponsive')));
    const { reply, close } = this.listen((answer) => {
      patience.end();
      if (isFinal(answer)) resolve(answer);
      else patience = new Patience(SECOND_ANSWER_MS, () => resolve(answer));
    });
    this.#requests.set(reply, { subject, resolve, reject });
    try {
      this.send(subject, payload, reply, headers);
      return await promise;
    } finally {
      patience.end();
      this.#requests.delete(reply);
      close();
    }
  }

  /** A subject of our own, for answers. */
  listen(answer: (arrival: Arrival) => void): { readonly reply: string; readonly close: () => void } {
    this.#issued += 1;
    const token = this.#issued.toString(36);
    this.#answers.set(token, answer);
    return { reply: `${this.#inbox}.${token}`, close: () => this.#answers.delete(token) };
  }

  /** A subscription of our own for messages that keep their own subject, such as a stream's: they come where a request for them says `<reply>.<anything>`. */
  channel(receive: (arrival: Arrival) => void): Channel {
    this.#issued += 1;
    const reply = `${this.#inbox}.pull.${this.#issued.toString(36)}`;
    return { reply, ...this.subscribe(`${reply}.*`, { message: receive, refused: (error) => this.end(error.message) }) };
  }

  /** Calls when everything unanswered is told that this connection has ended; returns what takes that back. */
  onEnd(tell: (error: LayerError) => void): () => void {
    if (this.#ended !== undefined) tell(unanswered(this.#ended));
    else this.#toldOfEnd.add(tell);
    return () => this.#toldOfEnd.delete(tell);
  }

  /** Sends at once, after what waits. */
  send(subject: string, payload: Uint8Array, reply?: string, headers?: Headers): void {
    this.#flush();
    if (this.#ended !== undefined) throw away(this.#ended);
    this.connection.publish(subject, payload, reply, headers);
  }

  /** A message of ours through the subscription of our own, and back. */
  async prove(): Promise<void> {
    const { promise, resolve, reject } = outcome<void>();
    const { reply, close } = this.listen(() => resolve());
    const forget = this.onEnd(reject);
    try {
      await this.publish(reply, new Uint8Array(0));
      await promise;
    } finally {
      forget();
      close();
    }
  }

  /** The server does not permit publishing on this subject. */
  refuse(subject: string): void {
    for (const turn of this.#unanswered) turn.subjects.get(subject)?.reject(forbidden('publish', subject));
    for (const request of this.#requests.values()) if (request.subject === subject) request.reject(forbidden('publish', subject));
  }

  /** Everything unanswered is told. */
  end(reason: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    const waiting = this.#turn;
    this.#turn = undefined;
    if (waiting !== undefined) fail(waiting, away(reason));
    for (const turn of this.#unanswered) fail(turn, unanswered(reason));
    this.#unanswered.clear();
    for (const request of this.#requests.values()) request.reject(unanswered(reason));
    for (const tell of this.#toldOfEnd) tell(unanswered(reason));
    this.#toldOfEnd.clear();
    this.#answers.clear();
    void this.connection.close();
  }

  /** Waits for what was published and asked, then ends. */
  async close(): Promise<void> {
    await this.confirm().catch(() => undefined);
    this.end('the layer was closed');
    await this.connection.close();
  }

  #refusalOf(bytes: number): LayerError | undefined {
    if (this.#ended !== undefined) return away(this.#ended);
    const { maxPayload } = this.connection.facts;
    if (bytes <= maxPayload) return undefined;
    return new LayerError('MESSAGE_TOO_LARGE', `the NATS server takes ${maxPayload} bytes at most (max_payload in its configuration), not ${bytes}`);
  }

  #overload(): LayerError | undefined {
    const why = this.#underWay.full;
    if (why === undefined) return undefined;
    const overload = away(why, 'overloaded');
    this.#tell('overloaded', overload.message);
    return overload;
  }

  #newTurn(): SentTurn {
    setImmediate(() => this.#flush());
    return { publications: [], bytes: 0, processed: outcome<void>(), subjects: new Map() };
  }

  #flush(): void {
    const turn = this.#turn;
    if (turn === undefined) return;
    this.#turn = undefined;
    this.#unanswered.add(turn);
    try {
      for (const { subject, payload, reply, headers } of turn.publications) this.connection.publish(subject, payload, reply, headers);
      this.connection.ping().then(
        () => setImmediate(() => this.#confirm(turn)),
        (error: unknown) => this.end(String(error)),
      );
    } catch (error) {
      this.end(String(error));
    }
  }

  /** What the server does not permit it says before its pong, and the library tells it within the same turn of the event loop. */
  #confirm(turn: SentTurn): void {
    if (!this.#unanswered.delete(turn)) return;
    this.#underWay.end(turn.bytes, turn.publications.length);
    for (const answer of turn.subjects.values()) answer.resolve();
    turn.processed.resolve();
  }
}

function fail({ processed, subjects }: SentTurn, error: LayerError): void {
  for (const answer of subjects.values()) answer.reject(error);
  processed.reject(error);
}

/** What headers add to a message: the line that begins them, a line each, and one that ends them. */
function sizeOf(headers: Headers | undefined): number {
  if (headers === undefined) return 0;
  return Object.entries(headers).reduce((size, [name, value]) => size + `${name}: ${value}\r\n`.length, 'NATS/1.0\r\n\r\n'.length);
}

/** Nobody need wait for it. */
export function outcome<T>(): Resolvers<T> {
  const made = withResolvers<T>();
  made.promise.catch(() => undefined);
  return made;
}
