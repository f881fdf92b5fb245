import { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import { isLayerError, type Taken } from '@busgate/layer/driver';
import type { Clock } from './clock.ts';
import type { Arrival } from './connection.ts';
import { nanoseconds, type JetStream, type StreamInfo } from './jetstream.ts';
import { BLIND_MS, LONGEST_PULL_MS, makeConsumer, removeBlind, type Consuming } from './queue-consumer.ts';
import type { Session } from './session.ts';

/** Header: how long a message lives from when it was kept, in milliseconds; without it as long as the stream's own age. */
export const LIFETIME = 'Busgate-Lifetime';
/**
 * In a cluster the first requests for messages are short, since they may get lost until our server knows of the consumer; each stands twice as long as
 * the one before.
 */
const FIRST_PULL_MS = 100;
/** So long may the requests become of which nothing was ever heard; then the consumer may have gone. */
const LAST_HOPE_MS = 400;
/** A request of which nothing was heard for this long after its end is lost: the consumer may have gone. */
const PULL_LATE_MS = 500;
/**
 * Messages that nobody waits for any more go back when nobody has come at so many looks, and these are so far apart. Looks are counted, and no time:
 * a process that was starved of it has not been slow, and others would go on past what it gives back.
 */
const LOOKS = 5;
const LOOK_MS = 20;
const PAUSE_MS = 250;
/** A consumer that turns a request away is looked at again after this time. */
const TURNED_AWAY_MS = 20;

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

interface Waiting extends Pick<Source, 'session' | 'byRemoval'> {
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
interface Source extends Consuming {
  readonly session: Session;
  readonly reply: string;
  readonly close: () => void;
  readonly pulls: Map<string, Pull>;
  /** How long the next request stands. */
  patience: number;
  /** Whether a request was ever answered. */
  heard: boolean;
  /** When its consumer last handed out a message, or was looked at. */
  seenAt: number;
}

/**
 * Reads one worker queue through its durable consumer. A message is settled before anybody sees it, so that at most once is exact whatever a process
 * does: acknowledged, where the server hands it out but once, or taken out of the stream, which only one reader can do.
 */
export class QueueReader {
  readonly #context: ReaderContext;
  /** What has arrived and no pop has returned. */
  #ready: Waiting[] = [];
  #source: Source | undefined;
  #popping = false;
  /** Messages of the last pops that the server has not settled yet: until it has, their listeners cannot ask for more. */
  #accepting = 0;
  #grace: NodeJS.Timeout | undefined;
  #wake: () => void = () => undefined;
  #pulled = 0;
  #closed = false;
  /** How often the stream has changed. */
  #changes = 0;

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
      this.#rest();
    }
  }

  /** Something about the stream has changed: what was asked may never be answered. */
  look(): void {
    this.#changes += 1;
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
    if (this.#late()) this.#lose();
  }

  async #open(session: Session): Promise<Source> {
    if (this.#source?.session === session && session.ended === undefined) return this.#source;
    this.#drop();
    await this.#context.clock.set(session);
    const consuming = await this.#consume(session);
    const { reply, close } = session.channel((arrival) => this.#arrived(source, arrival));
    const patience = session.connection.facts.clustered ? FIRST_PULL_MS : consuming.pullMs;
    const source: Source = { ...consuming, session, reply, close, pulls: new Map(), patience, heard: false, seenAt: performance.now() };
    this.#source = source;
    return source;
  }

  /** A consumer that was made while the stream changed may be one of the stream that is gone, and would never be heard. */
  async #consume(session: Session): Promise<Consuming> {
    for (;;) {
      const before = this.#changes;
      const { config } = await this.#context.ensureStream(session);
      const consuming = await makeConsumer(this.#context, session, config);
      if (before === this.#changes) return consuming;
    }
  }

  /** Asks for as many as are wanted beyond what was asked for already. */
  #ask(source: Source, wanted: number): void {
    let missing = wanted;
    for (const pull of source.pulls.values()) missing -= pull.left;
    if (missing <= 0) return;
    this.#pulled += 1;
    const reply = `${source.reply}.${this.#pulled.toString(36)}`;
    const patience = source.patience;
    source.patience = Math.min(2 * patience, source.pullMs);
    source.pulls.set(reply, { left: missing, endsAt: performance.now() + patience });
    const { jetStream, stream, consumer } = this.#context;
    jetStream.pull(source.session, stream, consumer, { batch: missing, expires: nanoseconds(patience) }, reply);
  }

  #arrived(source: Source, arrival: Arrival): void {
    source.heard = true;
    if (arrival.status !== 0) {
      source.pulls.delete(arrival.subject);
      if (source.lone && performance.now() - source.seenAt > BLIND_MS) void this.#doubt(source);
      // 408 and 404 are the request's own end; anything else says that the consumer is not what it was, or has no leader just now.
      if (source === this.#source && arrival.status !== 408 && arrival.status !== 404) {
        this.#drop();
        setTimeout(() => this.#wake(), TURNED_AWAY_MS).unref();
      } else {
        this.#wake();
      }
      return;
    }
    source.patience = source.pullMs;
    source.seenAt = performance.now();
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
    else this.#rest();
  }

  #read({ session, ageMs, byRemoval }: Source, arrival: Arrival): Waiting {
    // $JS.ACK[.<domain>.<account>].<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>[.<random>]
    const tokens = arrival.reply.split('.');
    const from = tokens.length >= 11 ? 6 : 4;
    const kept = Number(tokens[from + 3]) / 1e6;
    const lifetime = Number(arrival.header(LIFETIME)) || ageMs;
    return { session, byRemoval, sequence: Number(tokens[from + 1]), reply: arrival.reply, payload: arrival.payload, endsAt: kept + lifetime };
  }

  #taken(message: Waiting): Taken {
    return {
      payload: message.payload,
      accept: () => this.#accept(message),
      giveBack: async () => this.#putBack(message),
    };
  }

  async #accept(message: Waiting): Promise<boolean> {
    const expired = message.endsAt <= this.#context.clock.now();
    this.#accepting += 1;
    try {
      return (await this.#settle(message)) && !expired;
    } catch {
      return false;
    } finally {
      this.#accepting -= 1;
      this.#rest();
    }
  }

  /** False where the message is another's, or gone. */
  async #settle({ session, byRemoval, reply, sequence }: Waiting): Promise<boolean> {
    if (byRemoval) return this.#context.jetStream.deleteMessage(session, this.#context.stream, sequence);
    return (await session.request(reply, ACK)).status === 0;
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
    const good = this.#ready.filter((message) => {
      if (message.session.ended !== undefined) return false;
      if (message.endsAt > now) return true;
      this.#settle(message).catch(() => undefined);
      return false;
    });
    this.#ready = good;
  }

  /** Between two pops: what has come waits a little for the next one, what was asked for a little longer. */
  #rest(looks = LOOKS): void {
    clearTimeout(this.#grace);
    if (this.#popping || this.#closed || this.#accepting > 0) return;
    if (this.#ready.length === 0) this.#grace = setTimeout(() => this.#idle(), LONGEST_PULL_MS + PULL_LATE_MS).unref();
    else this.#grace = setTimeout(() => (looks > 1 ? this.#rest(looks - 1) : this.#idle()), LOOK_MS).unref();
  }

  #idle(): void {
    if (this.#popping) return;
    this.#giveBack(this.#ready.splice(0));
    if ((this.#source?.pulls.size ?? 0) > 0 && !this.#late()) {
      this.#rest();
      return;
    }
    this.#drop();
    this.#context.released();
  }

  /** How long nothing need be heard of the requests. */
  #quietFor(): number {
    const ends = [...(this.#source?.pulls.values() ?? [])].map(({ endsAt }) => endsAt - performance.now());
    return Math.max(0, ...ends) + this.#lateAfter();
  }

  #late(): boolean {
    const since = performance.now() - this.#lateAfter();
    for (const pull of this.#source?.pulls.values() ?? []) if (pull.endsAt <= since) return true;
    return false;
  }

  #lateAfter(): number {
    return this.#source?.heard === false ? FIRST_PULL_MS : PULL_LATE_MS;
  }

  /** A request was lost: where none was ever answered it is made again, else the consumer is looked at. */
  #lose(): void {
    if (this.#source?.heard === false && this.#source.patience <= LAST_HOPE_MS) this.#source.pulls.clear();
    else this.#drop();
  }

  /** Nothing has come for long: that should be because nothing is there. */
  async #doubt(source: Source): Promise<void> {
    source.seenAt = performance.now();
    const blind = await removeBlind(this.#context, source.session).catch(() => false);
    if (!blind || source !== this.#source) return;
    this.#drop();
    this.#wake();
  }

  #drop(): void {
    const source = this.#source;
    this.#source = undefined;
    if (source?.session.ended === undefined) source?.close();
  }
}
