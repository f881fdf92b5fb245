import { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import { isLayerError, type Taken } from '@busgate/layer/driver';
import type { Clock } from './clock.ts';
import type { Arrival } from './connection.ts';
import { nanoseconds, type JetStream, type StreamInfo } from './jetstream.ts';
import type { Session } from './session.ts';

/** Header: how long a message lives from when it was kept, in milliseconds; without it as long as the stream's own age. */
export const LIFETIME = 'Busgate-Lifetime';
/**
 * How long a request for messages stands with the server; then it is made again, which shows that both are alive. The first ones are short: in a
 * cluster they may get lost, until our server knows of the consumer.
 */
const PULL_MS = 5000;
const FIRST_PULL_MS = 500;
/** A request of which nothing was heard for this long after its end is lost: the consumer may have gone. */
const PULL_LATE_MS = 500;
/** A consumer that nobody asked for messages for this long is removed by the server. */
const INACTIVE_MS = 300_000;
/** Messages that nobody waits for any more wait this long for the next listener, in order; then they go back. */
const GRACE_MS = 20;
const PAUSE_MS = 250;

const ACK = Buffer.from('+ACK');
const NAK = Buffer.from('-NAK');

export interface ReaderContext {
  readonly jetStream: JetStream;
  readonly clock: Clock;
  readonly stream: string;
  readonly subject: string;
  readonly consumer: string;
  readonly ensureStream: (session: Session) => Promise<StreamInfo>;
  readonly forgetStream: (session: Session) => void;
  readonly session: () => Session | undefined;
  /** Resolves when another connection counts. */
  readonly changed: () => Promise<void>;
  readonly released: () => void;
}

interface Waiting {
  readonly session: Session;
  readonly sequence: number;
  readonly reply: string;
  readonly payload: Uint8Array;
  readonly endsAt: number;
}

interface Pull {
  left: number;
  readonly endsAt: number;
}

/** One connection's part in reading a queue: where its messages arrive, and what was asked for and has not come. */
interface Source {
  readonly session: Session;
  readonly reply: string;
  readonly close: () => void;
  readonly ageMs: number;
  readonly pulls: Map<string, Pull>;
  /** How long the next request stands. */
  patience: number;
}

/**
 * Reads one worker queue through its durable consumer. The server hands out each message once: it would do so again only when the message has
 * expired, since the consumer waits for an acknowledgement as long as a message lives. So what a reader was given and has not
 * acknowledged is nobody else's, and at most once is exact whatever a process does.
 */
export class QueueReader {
  readonly #context: ReaderContext;
  /** What has arrived and no pop has returned. */
  #ready: Waiting[] = [];
  #source: Source | undefined;
  #popping = false;
  #grace: NodeJS.Timeout | undefined;
  #wake: () => void = () => undefined;
  #pulled = 0;
  #closed = false;

  constructor(context: ReaderContext) {
    this.#context = context;
  }

  async pop(max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    const abort = (): void => this.#wake();
    signal.addEventListener('abort', abort);
    clearTimeout(this.#grace);
    this.#popping = true;
    try {
      while (!this.#closed) {
        this.#dropStale();
        if (this.#ready.length > 0) return this.#ready.splice(0, max).map((message) => this.#taken(message));
        if (signal.aborted) return [];
        await this.#wait(max, signal);
      }
      return [];
    } finally {
      this.#popping = false;
      signal.removeEventListener('abort', abort);
      this.#settle();
    }
  }

  /** Something about the stream has changed: what was asked may never be answered. */
  look(): void {
    this.#drop();
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#giveBack(this.#ready.splice(0));
    this.#drop();
    clearTimeout(this.#grace);
    this.#wake();
  }

  async #wait(max: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const session = this.#context.session();
    if (session === undefined) {
      await Promise.race([promise, this.#context.changed()]);
      return;
    }
    try {
      const source = await this.#open(session);
      if (this.#ready.length > 0 || signal.aborted || this.#closed) return;
      this.#ask(source, max);
    } catch (error) {
      if (isLayerError(error, 'UNSUPPORTED') || isLayerError(error, 'REFUSED')) throw error;
      this.#drop();
      this.#context.forgetStream(session);
      await Promise.race([promise, delay(PAUSE_MS)]);
      return;
    }
    const timer = setTimeout(resolve, this.#quietFor());
    await promise;
    clearTimeout(timer);
    if (this.#late()) this.#drop();
  }

  async #open(session: Session): Promise<Source> {
    if (this.#source?.session === session && session.ended === undefined) return this.#source;
    this.#drop();
    await this.#context.clock.set(session);
    const info = await this.#context.ensureStream(session);
    const { jetStream, stream, consumer, subject } = this.#context;
    await jetStream.durableConsumer(session, stream, consumer, {
      ack_policy: 'explicit',
      ack_wait: info.config.max_age,
      deliver_policy: 'all',
      filter_subject: subject,
      replay_policy: 'instant',
      max_ack_pending: 100_000,
      inactive_threshold: nanoseconds(INACTIVE_MS),
    });
    const { reply, close } = session.channel((arrival) => this.#arrived(source, arrival));
    const source: Source = { session, reply, close, ageMs: info.config.max_age / 1e6, pulls: new Map(), patience: FIRST_PULL_MS };
    this.#source = source;
    return source;
  }

  /** Asks for as many as are wanted beyond what was asked for already. */
  #ask(source: Source, wanted: number): void {
    let missing = wanted;
    for (const pull of source.pulls.values()) missing -= pull.left;
    if (missing <= 0) return;
    this.#pulled += 1;
    const reply = `${source.reply}.${this.#pulled.toString(36)}`;
    const patience = source.patience;
    source.patience = Math.min(2 * patience, PULL_MS);
    source.pulls.set(reply, { left: missing, endsAt: performance.now() + patience });
    const { jetStream, stream, consumer } = this.#context;
    jetStream.pull(source.session, stream, consumer, { batch: missing, expires: nanoseconds(patience) }, reply);
  }

  #arrived(source: Source, arrival: Arrival): void {
    if (arrival.status !== 0) {
      source.pulls.delete(arrival.subject);
      // 408 and 404 are the request's own end; anything else says that the consumer is not what it was.
      if (source === this.#source && arrival.status !== 408 && arrival.status !== 404) this.#drop();
      this.#wake();
      return;
    }
    source.patience = PULL_MS;
    const message = this.#read(source, arrival);
    for (const [reply, pull] of source.pulls) {
      pull.left -= 1;
      if (pull.left <= 0) source.pulls.delete(reply);
      break;
    }
    this.#add(message);
    if (this.#ready.length === 1) setImmediate(() => this.#came());
  }

  /** What came in one turn is taken together. */
  #came(): void {
    if (this.#popping) this.#wake();
    else this.#settle();
  }

  #read({ session, ageMs }: Source, arrival: Arrival): Waiting {
    // $JS.ACK[.<domain>.<account>].<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>[.<random>]
    const tokens = arrival.reply.split('.');
    const from = tokens.length >= 11 ? 6 : 4;
    const kept = Number(tokens[from + 3]) / 1e6;
    const lifetime = Number(arrival.header(LIFETIME)) || ageMs;
    return { session, sequence: Number(tokens[from + 1]), reply: arrival.reply, payload: arrival.payload, endsAt: kept + lifetime };
  }

  #taken(message: Waiting): Taken {
    return {
      payload: message.payload,
      accept: () => this.#accept(message),
      giveBack: async () => this.#putBack(message),
    };
  }

  async #accept({ session, reply, endsAt, sequence }: Waiting): Promise<boolean> {
    const expired = endsAt <= this.#context.clock.now();
    try {
      if (session.connection.facts.keepsAcknowledgements) return (await session.request(reply, ACK)).status === 0 && !expired;
      const removed = await this.#context.jetStream.deleteMessage(session, this.#context.stream, sequence);
      session.send(reply, ACK);
      return removed && !expired;
    } catch {
      return false;
    }
  }

  /** It keeps its place before what came later. */
  #putBack(message: Waiting): void {
    if (this.#closed) {
      this.#giveBack([message]);
      return;
    }
    this.#add(message);
    this.#came();
  }

  #add(message: Waiting): void {
    this.#ready.push(message);
    if (this.#ready.length > 1) this.#ready.sort((a, b) => a.sequence - b.sequence);
  }

  /** Oldest first: the server hands them out again in that order, before any other. */
  #giveBack(messages: Waiting[]): void {
    for (const { session, reply } of messages) {
      if (session.ended === undefined) session.send(reply, NAK);
    }
  }

  /** What has expired is not handed out, and what came through a connection that has ended cannot be acknowledged. */
  #dropStale(): void {
    if (this.#ready.length === 0) return;
    const now = this.#context.clock.now();
    const good = this.#ready.filter(({ session, endsAt, reply }) => {
      if (session.ended !== undefined) return false;
      if (endsAt > now) return true;
      session.send(reply, ACK);
      return false;
    });
    this.#ready = good;
  }

  /** Between two pops: what has come waits a little for the next one, what was asked for a little longer. */
  #settle(): void {
    if (this.#popping || this.#closed) return;
    clearTimeout(this.#grace);
    this.#grace = setTimeout(() => this.#idle(), this.#ready.length > 0 ? GRACE_MS : PULL_MS + PULL_LATE_MS).unref();
  }

  #idle(): void {
    if (this.#popping) return;
    this.#giveBack(this.#ready.splice(0));
    if ((this.#source?.pulls.size ?? 0) > 0 && !this.#late()) {
      this.#settle();
      return;
    }
    this.#drop();
    this.#context.released();
  }

  /** How long nothing need be heard of the requests. */
  #quietFor(): number {
    const ends = [...(this.#source?.pulls.values() ?? [])].map(({ endsAt }) => endsAt - performance.now());
    return Math.max(0, ...ends) + PULL_LATE_MS;
  }

  #late(): boolean {
    const now = performance.now();
    for (const pull of this.#source?.pulls.values() ?? []) if (pull.endsAt + PULL_LATE_MS <= now) return true;
    return false;
  }

  #drop(): void {
    const source = this.#source;
    this.#source = undefined;
    if (source?.session.ended === undefined) source?.close();
  }
}
