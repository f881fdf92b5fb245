import type { ConsumerContext } from './context.ts';
import type { Outlet } from './outlet.ts';
import type { Router } from './router.ts';
import type { Conversation, SocketTarget } from './target.ts';
import type { ConnectEvent, DisconnectEvent, GatewayEvent, HttpRequestEvent, ReceiveEvent } from './wire.ts';

const NO_HANDLER = 404;

/** Makes the way back to the session of an event. `stays`: the session is to stay with this process. */
export type OutletOf = (event: GatewayEvent, stays: boolean) => Outlet;

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

  constructor(router: Router, context: ConsumerContext, outletOf: OutletOf) {
    this.#router = router;
    this.#context = context;
    this.#outletOf = outletOf;
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
    const living = [...this.#living].map(async ([session, conversation]) => {
      await conversation.release();
      released(session);
    });
    this.#living.clear();
    await Promise.all([...living, ...this.#passing]);
  }

  #connect(event: ConnectEvent, ended: () => void): void {
    const found = this.#router.socket(event.path);
    if (found === undefined) return this.#track(event, this.#refuse(event), ended);
    const { target } = found;
    const params = { ...event.params, ...found.params };
    if (target.kind === 'stateless') {
      return this.#track(event, target.handle(event, params, this.#outletOf(event, false), this.#context), ended);
    }
    let conversation: Conversation;
    try {
      conversation = target.begin(event, params, this.#outletOf(event, true), this.#context);
    } catch (error) {
      return this.#track(event, Promise.reject(error as Error), ended);
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
    const work = passing(found.target, event, params, this.#outletOf(event, false), this.#context);
    if (work === undefined) ended();
    else this.#track(event, work, ended);
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
    try {
      await found.target.handle(event, { ...event.params, ...found.params }, outlet, left.signal);
    } catch (error) {
      if (left.signal.aborted) return;
      this.#logFailure(event, error);
      // Where part of the answer has been sent this is refused, and the gateway ends it after its time.
      await outlet.reply({ type: 'http.response', status: 500, text: 'an error of the handler\n' });
    } finally {
      this.#requests.delete(event.session);
    }
  }

  async #refuse(event: ConnectEvent): Promise<void> {
    const outlet = this.#outletOf(event, false);
    await outlet.reply({ type: 'websocket.http.response.start', status: NO_HANDLER, headers: [['content-type', 'text/plain; charset=utf-8']] });
    await outlet.reply({ type: 'websocket.http.response.body', body: new TextEncoder().encode('nothing is at this path\n') });
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

  #logFailure({ route, type }: GatewayEvent, error: unknown): void {
    this.#context.log.error('an event could not be handled', { route, type, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
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
