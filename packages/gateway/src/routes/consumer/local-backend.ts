import { type ConsumerLog, type GatewayEvent, type Outlet, type Reply, type Router, Runner, WINDOW } from '@busgate/consumer/run';
import type { ChannelLayer, Message } from '@busgate/layer';
import type { Backend } from '../events/backend.ts';
import { type Parsed, parseReply } from '../events/parse-reply.ts';
import type { ConsumerCounters } from './counters.ts';
import type { Tracing } from '../../tracing.ts';
import type { LoopWatch } from './loop-watch.ts';

/** What obeys the replies of a handler. */
interface Taker {
  take(parsed: Parsed): void;
  /** Resolves when the client has read most of what it was sent; undefined where it has. */
  room(): Promise<void> | undefined;
}

export interface LocalBackendOptions {
  readonly router: Router;
  readonly layer: ChannelLayer;
  readonly log: ConsumerLog;
  readonly counters: ConsumerCounters;
  readonly watch: LoopWatch;
  /** Undefined: nobody follows traces. */
  readonly tracing: Tracing | undefined;
  /** What has this session, while something does. */
  readonly takerOf: (session: string) => Taker | undefined;
}

const SAID = Promise.resolve();

/** Handlers in this process: events are calls, and what the handlers reply is obeyed as a worker's is. */
export class LocalBackend implements Backend {
  readonly queue = undefined;
  readonly #runner: Runner;
  readonly #counters: ConsumerCounters;
  readonly #watch: LoopWatch;
  readonly #tracing: Tracing | undefined;
  readonly #takerOf: LocalBackendOptions['takerOf'];
  /** Resolves in the loop's next turn, for all who wait for it. */
  #turn: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  constructor({ router, layer, log, counters, watch, tracing, takerOf }: LocalBackendOptions) {
    this.#runner = new Runner(router, { layer, log }, (event, stays) => this.#outletOf(event, stays));
    this.#counters = counters;
    counters.handlers = this.#runner.counts;
    this.#watch = watch;
    this.#tracing = tracing;
    this.#takerOf = takerOf;
  }

  send(event: Message): Promise<void> {
    this.#watch.begins(this.#counters);
    // What a handler does to it, and does not put on the session, is its own.
    const own = typeof event['state'] === 'object' ? { ...event, state: structuredClone(event['state']) } : event;
    const { traceparent } = event;
    if (this.#tracing === undefined || typeof traceparent !== 'string') this.#handle(own);
    else this.#tracing.within(traceparent, () => this.#handle(own));
    return SAID;
  }

  /** Handlers die with their sessions. */
  hold(): Promise<void> {
    return SAID;
  }

  async settle(_session: string, disconnect: Message | undefined): Promise<boolean> {
    if (disconnect !== undefined) await this.send(disconnect);
    return true;
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#runner.size === 0) resolve();
      else this.#whenIdle = resolve;
    });
  }

  #handle(event: Message): void {
    this.#runner.handle(event as unknown as GatewayEvent, () => this.#ended());
  }

  #ended(): void {
    if (this.#runner.size === 0) this.#whenIdle?.();
  }

  #outletOf({ session }: GatewayEvent, stays: boolean): Outlet {
    return { isLocal: true, reply: (reply) => this.#obey(session, stays && reply.type === 'websocket.accept' ? { ...reply, window: WINDOW } : reply) };
  }

  #obey(session: string, reply: Reply): Promise<void> {
    this.#watch.speaks(this.#counters);
    const taker = this.#takerOf(session);
    if (taker === undefined) return SAID;
    taker.take(parseReply(this.#tracing === undefined ? reply : traced(reply, this.#tracing)));
    // Who sends in a loop lets others have their turn, and goes no faster than the client reads.
    return hasContent(reply) ? (taker.room() ?? this.#nextTurn()) : SAID;
  }

  #nextTurn(): Promise<void> {
    this.#turn ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#turn = undefined;
        resolve();
      });
    });
    return this.#turn;
  }
}

function hasContent({ type }: Reply): boolean {
  return type === 'websocket.send' || type === 'http.response.body' || type === 'room.publish';
}

/** What a handler publishes is part of the trace in which it does so. */
function traced(reply: Reply, tracing: Tracing): Reply {
  return reply.type === 'room.publish' || reply.type === 'group.send' ? { traceparent: tracing.active(), ...reply } : reply;
}
