import { Buffer } from 'node:buffer';
import { Patience, isLayerError, type Taken } from '@busgate/layer/driver';
import type { BrokerClock } from './broker-clock.ts';
import type { Arrival } from './connection.ts';
import type { JetStream, StreamInfo } from './jetstream.ts';
import { LIFETIME, isTooLargeForHeaders } from './lifetime.ts';
import { PullRequests } from './pull-requests.ts';
import { BLIND_MS, LONGEST_PULL_MS, makeConsumer, removeBlind, type Consuming } from './queue-consumer.ts';
import type { Session } from './session.ts';

const PAUSE_MS = 250;
/** A consumer that turns a request away is looked at again after this time. */
const TURNED_AWAY_MS = 20;
/** What is known of a consumer is kept for so long after the last message was asked for. */
const IDLE_MS = LONGEST_PULL_MS;

const ACK = Buffer.from('+ACK');
const NAK = Buffer.from('-NAK');

export interface PullerContext {
  readonly jetStream: JetStream;
  readonly clock: BrokerClock;
  readonly stream: string;
  readonly subject: string;
  readonly consumer: string;
  /** How long a message lives here that had no room to say it. */
  readonly expiryMs: number;
  readonly ensureStream: (session: Session) => Promise<StreamInfo>;
  readonly forgetStream: (session: Session) => void;
  readonly session: () => Session | undefined;
  /** Calls once when another connection counts; returns what takes that back. */
  readonly onChange: (then: () => void) => () => void;
  readonly released: () => void;
}

/** A message that the server has handed to this process, and nobody has seen. */
interface Handed {
  readonly session: Session;
  readonly byRemoval: boolean;
  readonly sequence: number;
  readonly reply: string;
  readonly payload: Uint8Array;
  readonly endsAt: number;
}

/**
 * Reads one worker queue through its durable consumer. A message is settled before anybody sees it, so that at most once is exact whatever a process
 * does: acknowledged, where the server hands it out but once, or taken out of the stream, which only one reader can do. What was asked for is taken back as
 * soon as nobody waits for it, and what comes then is given back at once: else the next reader would get what follows it first.
 */
export class QueuePuller {
  readonly #context: PullerContext;
  /** What has arrived and no pop has returned, oldest first. */
  #ready: Handed[] = [];
  #requests: PullRequests | undefined;
  #popping = false;
  /** Messages of the last pops that the server has not settled yet: until it has, their listeners cannot ask for more. */
  #accepting = 0;
  /** Until that has ended nothing is asked for: it would pass what is being given back. */
  #returning: Promise<void> | undefined;
  /** It is looked at the end of this turn whether anybody pops. */
  #goesIdleSoon = false;
  #idle: NodeJS.Timeout | undefined;
  #wake: () => void = () => undefined;
  #closed = false;
  /** How often the stream has changed. */
  #changes = 0;
  /** When the consumer last handed out a message, or was looked at. */
  #seenAt = 0;

  constructor(context: PullerContext) {
    this.#context = context;
  }

  async pop(max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    const abort = (): void => this.#wake();
    signal.addEventListener('abort', abort);
    clearTimeout(this.#idle);
    this.#popping = true;
    try {
      while (!this.#closed) {
        this.#dropStale();
        if (this.#ready.length > 0) return this.#ready.splice(0, max).map((message) => this.#taken(message));
        if (signal.aborted) return [];
        await this.#waitForMessages(max, signal);
      }
      return [];
    } finally {
      this.#popping = false;
      signal.removeEventListener('abort', abort);
      this.#goIdleSoon();
    }
  }

  /** Something about the stream has changed: what was asked may never be answered. */
  streamChanged(): void {
    this.#changes += 1;
    this.#forgetConsumer();
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    void this.#giveBackReady();
    this.#forgetConsumer();
    clearTimeout(this.#idle);
    this.#wake();
  }

  async #waitForMessages(max: number, signal: AbortSignal): Promise<void> {
    const { promise, wake } = this.#woken();
    const session = this.#context.session();
    if (session === undefined) {
      const forgetChange = this.#context.onChange(wake);
      await promise;
      forgetChange();
      return;
    }
    try {
      const requests = await this.#requestsTo(session);
      await this.#returning;
      if (this.#ready.length > 0 || signal.aborted || this.#closed) return;
      requests.ask(max);
      const patience = new Patience(requests.quietForMs, () => this.#nothingCame(requests));
      await promise;
      patience.end();
    } catch (error) {
      if (isLayerError(error, 'UNSUPPORTED') || isLayerError(error, 'REFUSED')) throw error;
      this.#forgetConsumer();
      this.#context.forgetStream(session);
      const pause = setTimeout(wake, PAUSE_MS);
      await promise;
      clearTimeout(pause);
    }
  }

  #woken(): { readonly promise: Promise<void>; readonly wake: () => void } {
    let wake = (): void => undefined;
    const promise = new Promise<void>((resolve) => (wake = resolve));
    this.#wake = wake;
    return { promise, wake };
  }

  async #requestsTo(session: Session): Promise<PullRequests> {
    if (this.#requests?.session === session && session.ended === undefined) return this.#requests;
    this.#forgetConsumer();
    await this.#context.clock.set(session);
    const consuming = await this.#consume(session);
    const requests: PullRequests = new PullRequests(
      this.#context.jetStream,
      this.#context,
      { session, consuming },
      {
        message: (arrival) => this.#arrived(requests, arrival),
        ended: (refused) => this.#requestEnded(requests, refused),
        held: () => this.#ready.length + this.#accepting,
      },
    );
    this.#seenAt = performance.now();
    this.#requests = requests;
    return requests;
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

  #requestEnded(requests: PullRequests, refused: boolean): void {
    if (requests !== this.#requests) return;
    if (requests.consuming.lone && performance.now() - this.#seenAt > BLIND_MS) void this.#lookForBlindness(requests);
    if (refused) {
      this.#forgetConsumer();
      setTimeout(() => this.#wake(), TURNED_AWAY_MS).unref();
    } else {
      this.#wake();
    }
  }

  #arrived({ session, consuming }: PullRequests, arrival: Arrival): void {
    this.#seenAt = performance.now();
    this.#add(this.#read(session, consuming, arrival));
    if (this.#closed) void this.#giveBackReady();
    else if (this.#ready.length === 1) setImmediate(() => this.#tellReady());
  }

  #read(session: Session, { ageMs, byRemoval }: Consuming, arrival: Arrival): Handed {
    // $JS.ACK[.<domain>.<account>].<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>[.<random>]
    const { reply, payload } = arrival;
    const tokens = reply.split('.');
    const from = tokens.length >= 11 ? 6 : 4;
    const kept = Number(tokens[from + 3]) / 1e6;
    const unsaid = isTooLargeForHeaders(payload.length, session.connection.facts.maxPayload) ? this.#context.expiryMs : ageMs;
    const lifetime = Number(arrival.header(LIFETIME)) || unsaid;
    return { session, byRemoval, sequence: Number(tokens[from + 1]), reply, payload, endsAt: kept + lifetime };
  }

  /** What came in one turn is taken together. */
  #tellReady(): void {
    if (this.#popping) this.#wake();
    else this.#goIdleSoon();
  }

  #taken(message: Handed): Taken {
    return {
      payload: message.payload,
      endsAt: message.endsAt - this.#context.clock.now() + performance.now(),
      accept: () => this.#accept(message),
      giveBack: async () => this.#putBack(message),
    };
  }

  async #accept(message: Handed): Promise<boolean> {
    const expired = message.endsAt <= this.#context.clock.now();
    this.#accepting += 1;
    try {
      return (await this.#settle(message)) && !expired;
    } catch {
      return false;
    } finally {
      this.#accepting -= 1;
      this.#goIdleSoon();
    }
  }

  /** False where the message is another's, or gone. */
  async #settle({ session, byRemoval, reply, sequence }: Handed): Promise<boolean> {
    if (byRemoval) return this.#context.jetStream.deleteMessage(session, this.#context.stream, sequence);
    return (await session.request(reply, ACK)).status === 0;
  }

  /** It keeps its place before what came later. */
  #putBack(message: Handed): void {
    this.#add(message);
    if (this.#closed) void this.#giveBackReady();
    else this.#tellReady();
  }

  /** One that was handed out twice is kept as it came last. */
  #add(message: Handed): void {
    if (this.#ready.length > 0) this.#ready = this.#ready.filter(({ sequence }) => sequence !== message.sequence);
    this.#ready.push(message);
    if (this.#ready.length > 1) this.#ready.sort((a, b) => a.sequence - b.sequence);
  }

  /** Oldest first: the server hands them out again in that order, before any other. Resolves when it knows. */
  async #giveBackReady(): Promise<void> {
    const given = this.#ready.splice(0).map(({ session, reply }) => session.request(reply, NAK));
    await Promise.allSettled(given);
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

  /** Where nobody pops by the end of this turn, nobody waits: a listener that is served asks for the next message at once, or is slow. */
  #goIdleSoon(): void {
    if (this.#goesIdleSoon) return;
    this.#goesIdleSoon = true;
    setImmediate(() => {
      this.#goesIdleSoon = false;
      this.#goIdle();
    });
  }

  #goIdle(): void {
    if (this.#popping || this.#closed || this.#accepting > 0) return;
    this.#returning = this.#withdraw(this.#returning);
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#release(), IDLE_MS).unref();
  }

  /** Nobody waits any more: what was asked for is taken back, then what has come is given back, unless somebody came for it meanwhile. */
  async #withdraw(before: Promise<void> | undefined): Promise<void> {
    await Promise.all([before, this.#requests?.withdraw()]);
    if (!this.#popping && this.#accepting === 0) await this.#giveBackReady();
  }

  #release(): void {
    if (this.#popping || this.#accepting > 0) return;
    this.#forgetConsumer();
    this.#context.released();
  }

  /** What was asked for was lost: where nothing was ever heard it is asked for again, else the consumer is looked at. */
  #nothingCame(requests: PullRequests): void {
    if (requests !== this.#requests) return;
    if (requests.mayBeUnknown) requests.forget();
    else this.#forgetConsumer();
    this.#wake();
  }

  /** Nothing has come for long: that should be because nothing is there. */
  async #lookForBlindness(requests: PullRequests): Promise<void> {
    this.#seenAt = performance.now();
    const blind = await removeBlind(this.#context, requests.session).catch(() => false);
    if (!blind || requests !== this.#requests) return;
    this.#forgetConsumer();
    this.#wake();
  }

  /** It is made anew, or found, before the next message is asked for. */
  #forgetConsumer(): void {
    this.#requests?.close();
    this.#requests = undefined;
  }
}
