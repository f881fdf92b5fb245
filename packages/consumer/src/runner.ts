import type { ConsumerContext, ConsumerCounts, ConsumerLayer, ConsumerLog } from './context.ts';
import { ConnectionClosedError } from './errors.ts';
import type { Outlet } from './outlet.ts';
import type { Router } from './router.ts';
import { layerForHandlers, runAs, runOutside } from './running.ts';
import { Socket } from './socket.ts';
import type { Conversation, SocketTarget } from './target.ts';
import type { ConnectEvent, DisconnectEvent, GatewayEvent, HttpRequestEvent, ReceiveEvent } from './wire.ts';

const NO_HANDLER = 404;
const FAILED = 500;

/** Makes the way back to the session of an event. `stays`: the session is to stay with this process. */
export type OutletOf = (event: GatewayEvent, stays: boolean) => Outlet;

/** Events of one session that may be in flight to a handler that lives as long as its socket. */
export const WINDOW = 32;

/**
 * Gives each event to the handler of its path, and keeps the handlers that live as long as their sockets. Knows nothing of where events come from: a worker
 * and a gateway use it alike.
 */
export class Runner {
  readonly #router: Router;
  readonly #context: ConsumerContext;
  readonly #outletOf: OutletOf;
  readonly #living = new Map<string, Conversation>();
  readonly #requests = new Map<string, AbortController>();
  /** Handlers that keep nothing and have not come to their end. */
  readonly #passing = new Set<Promise<void>>();
  #isReleasing = false;

  constructor(router: Router, { layer, log }: { readonly layer: ConsumerLayer; readonly log: ConsumerLog }, outletOf: OutletOf) {
    this.#router = router;
    this.#context = { layer: layerForHandlers(layer), log, counts: { failed: 0, unhandled: 0 } };
    this.#outletOf = (event, stays) => {
      const outlet = outletOf(event, stays);
      return { reply: (reply) => runOutside(() => outlet.reply(reply)) };
    };
  }

  get counts(): Readonly<ConsumerCounts> {
    return this.#context.counts;
  }

  /** Sockets that live here, and events that are being handled. */
  get size(): number {
    return this.#living.size + this.#passing.size;
  }

  /** Whether this session's handler lives here. */
  has(session: string): boolean {
    return this.#living.has(session);
  }

  /** `ended` is called when what began with this event has come to its end, if something did: a socket's handler, or a call of one that keeps nothing. */
  handle(event: GatewayEvent, ended: () => void = () => undefined): void {
    runAs({ stray: (error) => this.#stray(event, error) }, () => this.#handle(event, () => runOutside(ended)));
  }

  #handle(event: GatewayEvent, ended: () => void): void {
    switch (event.type) {
      case 'websocket.connect':
        return this.#connect(event, ended);
      case 'websocket.receive':
        return this.#receive(event, ended);
      case 'websocket.disconnect':
        return this.#disconnect(event, ended);
      case 'http.request':
        return this.#track(event, this.#request(event), ended);
      case 'http.disconnect':
        return this.#requests.get(event.session)?.abort(new Error('the client has left'));
    }
  }

  /**
   * Stops in order: what is in hand is finished, `released` is called for each session that can be given to another worker, and requests are answered. Resolves when
   * nothing is left.
   */
  async release(released: (session: string) => void): Promise<void> {
    this.#isReleasing = true;
    const living = [...this.#living].map(async ([session, conversation]) => {
      await conversation.release();
      released(session);
    });
    this.#living.clear();
    await Promise.all([...living, ...this.#passing]);
  }

  #connect(event: ConnectEvent, ended: () => void): void {
    const found = this.#router.socket(event.path);
    if (found === undefined) return this.#track(event, this.#refuse(event, NO_HANDLER, 'nothing is at this path\n'), ended);
    const { target } = found;
    const params = { ...event.params, ...found.params };
    if (target.kind === 'stateless') {
      return this.#track(event, target.handle(event, params, this.#outletOf(event, false), this.#context), ended);
    }
    let conversation: Conversation;
    try {
      conversation = target.begin(event, params, this.#outletOf(event, true), this.#context);
    } catch (error) {
      this.#logFailure(event, error);
      return this.#track(event, this.#refuse(event, FAILED, 'an error of the consumer\n'), ended);
    }
    this.#living.set(event.session, conversation);
    void conversation.ended.then(() => {
      if (this.#living.get(event.session) === conversation) this.#living.delete(event.session);
      ended();
    });
  }

  #receive(event: ReceiveEvent, ended: () => void): void {
    const conversation = this.#living.get(event.session);
    if (conversation !== undefined) return conversation.receive(event);
    this.#pass(event, ended);
  }

  #disconnect(event: DisconnectEvent, ended: () => void): void {
    const conversation = this.#living.get(event.session);
    if (conversation !== undefined) return conversation.disconnect(event);
    this.#pass(event, ended);
  }

  /** An event whose handler, if it lived, lives no longer. */
  #pass(event: ReceiveEvent | DisconnectEvent, ended: () => void): void {
    const found = this.#router.socket(event.path);
    if (found === undefined) return ended();
    const params = { ...event.params, ...found.params };
    const outlet = this.#outletOf(event, false);
    const work = passing(found.target, event, params, outlet, this.#context);
    if (work !== undefined) return this.#track(event, work, ended);
    // What a worker gives back goes with the session.
    if (event.order !== null && !this.#isReleasing) void outlet.reply({ type: 'done', order: event.order }).catch(() => undefined);
    ended();
  }

  async #request(event: HttpRequestEvent): Promise<void> {
    const found = this.#router.http(event.path);
    const outlet = this.#outletOf(event, false);
    if (found === undefined) {
      const isSocket = this.#router.socket(event.path) !== undefined;
      const refusal = isSocket ? { status: 426, text: 'this path is for WebSockets\n' } : { status: NO_HANDLER, text: 'nothing is at this path\n' };
      return outlet.reply({ type: 'http.response', ...refusal });
    }
    const left = new AbortController();
    this.#requests.set(event.session, left);
    let hasBegun = false;
    const answering: Outlet = {
      reply: (reply) => {
        hasBegun = true;
        return outlet.reply(reply);
      },
    };
    try {
      await found.target.handle(event, { ...event.params, ...found.params }, answering, left.signal);
    } catch (error) {
      if (left.signal.aborted) return;
      this.#logFailure(event, error);
      // An answer that has begun stays unfinished, so that nobody takes it for whole.
      await outlet.reply(hasBegun ? { type: 'done', order: event.order } : { type: 'http.response', status: FAILED, text: 'an error of the handler\n' });
    } finally {
      this.#requests.delete(event.session);
    }
  }

  #refuse(event: ConnectEvent, status: number, text: string): Promise<void> {
    return new Socket(event, {}, this.#outletOf(event, false), false).reject(status, text);
  }

  #track(event: GatewayEvent, work: Promise<void>, ended: () => void): void {
    const tracked = work
      .catch((error: unknown) => this.#logFailure(event, error))
      .finally(() => {
        this.#passing.delete(tracked);
        ended();
      });
    this.#passing.add(tracked);
  }

  /** What a handler began, and did not wait for, has failed. */
  #stray(event: GatewayEvent, error: unknown): void {
    const conversation = this.#living.get(event.session);
    if (conversation !== undefined) return conversation.fail(error);
    if (!(error instanceof ConnectionClosedError)) this.#logFailure(event, error);
  }

  #logFailure({ route, type }: GatewayEvent, error: unknown): void {
    this.#context.counts.failed += 1;
    this.#context.log.error('a consumer failed', { route, type, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

function passing(
  target: SocketTarget,
  event: ReceiveEvent | DisconnectEvent,
  params: Readonly<Record<string, string>>,
  outlet: Outlet,
  context: ConsumerContext,
): Promise<void> | undefined {
  if (target.kind === 'stateless') return target.handle(event, params, outlet, context);
  return event.type === 'websocket.disconnect' ? target.bury(event, params, outlet, context) : undefined;
}
