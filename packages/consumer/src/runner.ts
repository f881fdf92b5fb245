import type { ConsumerContext, ConsumerCounts, ConsumerLayer, ConsumerLog } from './context.ts';
import { ConnectionClosedError } from './errors.ts';
import { LivingSession } from './living-session.ts';
import type { Outlet } from './outlet.ts';
import type { Router } from './router.ts';
import { layerForHandlers, runAs, runOutside } from './running.ts';
import { Socket } from './socket.ts';
import { patienceOf } from './unhandled.ts';
import { WatchedOutlet } from './watched-outlet.ts';
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
  readonly #living = new Map<string, LivingSession>();
  readonly #requests = new Map<string, AbortController>();
  /** Handlers that keep nothing and have not come to their end, and the ways of those events that they are at. */
  readonly #passing = new Map<Promise<void>, WatchedOutlet | undefined>();
  /** Sessions that were given back, with the lease under which they were here. */
  readonly #givenBack = new Map<string, number>();

  constructor(router: Router, { layer, log }: { readonly layer: ConsumerLayer; readonly log: ConsumerLog }, outletOf: OutletOf) {
    this.#router = router;
    this.#context = { layer: layerForHandlers(layer), log, counts: { failed: 0, unhandled: 0 } };
    this.#outletOf = (event, stays) => {
      const outlet = outletOf(event, stays);
      return { isLocal: outlet.isLocal === true, reply: (reply) => runOutside(() => outlet.reply(reply)) };
    };
  }

  get counts(): Readonly<ConsumerCounts> {
    return this.#context.counts;
  }

  /** Sockets that live here, and events that are being handled. */
  get size(): number {
    return this.#living.size + this.#passing.size;
  }

  /** Whether this session's handler lives here, or its request is being answered. */
  has(session: string): boolean {
    return this.#living.has(session) || this.#requests.has(session);
  }

  /** Whether sessions of this path live in one process: no other one can take leave of them. */
  keeps(path: string): boolean {
    return this.#router.socket(path)?.target.kind === 'living';
  }

  /**
   * `ended` is called when what began with this event has come to its end, if something did: a socket's handler, or a call of one that keeps nothing. `lifetime`: how long
   * the event may take, in milliseconds, where that is known.
   */
  handle(event: GatewayEvent, ended: () => void = () => undefined, lifetime?: number): void {
    runAs({ stray: (error) => this.#stray(event, error) }, () => this.#handle(event, () => runOutside(ended), lifetime));
  }

  /** The end of a session whose handler died with its worker: a new one is told. */
  bury(event: DisconnectEvent, ended: () => void = () => undefined): void {
    this.#givenBack.delete(event.session);
    runAs({ stray: (error) => this.#stray(event, error) }, () => this.#bury(event, () => runOutside(ended)));
  }

  /** To be called at regular times, with `performance.now()`: says of events that take long that they are being handled. */
  keepAlive(now: number): void {
    for (const session of this.#living.values()) session.keepAlive(now);
    for (const outlet of this.#passing.values()) outlet?.keepAlive(now);
  }

  /**
   * Stops in order: what is in hand is finished, each session that can be given to another worker is given back, and requests are answered. Resolves when
   * nothing is left.
   */
  async release(): Promise<void> {
    const released = [...this.#living].map(async ([id, session]) => {
      if (await session.release()) this.#givenBack.set(id, session.lease);
      this.#forget(id, session);
    });
    await Promise.all(released);
    await this.passed();
  }

  /** Resolves when no handler that keeps nothing is at work. */
  async passed(): Promise<void> {
    await Promise.all(this.#passing.keys());
  }

  /** Others may have the sessions that live here: they are let go of, and those that rest are given back. */
  forsake(): void {
    this.#givenBack.clear();
    for (const [id, session] of this.#living) {
      this.#givenBack.set(id, session.lease);
      session.forsake();
      this.#forget(id, session);
    }
  }

  #handle(event: GatewayEvent, ended: () => void, lifetime: number | undefined): void {
    switch (event.type) {
      case 'websocket.connect':
        return this.#connect(event, ended, lifetime);
      case 'websocket.receive':
        return this.#receive(event, ended, lifetime);
      case 'websocket.disconnect':
        return this.#disconnect(event, ended);
      case 'http.request': {
        const outlet = this.#watched(event, lifetime);
        return this.#track(event, this.#request(event, outlet), ended, outlet);
      }
      case 'http.disconnect':
        return this.#requests.get(event.session)?.abort(new Error('the client has left'));
    }
  }

  #connect(event: ConnectEvent, ended: () => void, lifetime: number | undefined): void {
    const { session: id } = event;
    this.#givenBack.delete(id);
    this.#living.get(id)?.abandon();
    const found = this.#router.socket(event.path);
    if (found === undefined) return this.#track(event, this.#refuse(event, NO_HANDLER, 'nothing is at this path\n'), ended);
    const { target } = found;
    const params = { ...event.params, ...found.params };
    if (target.kind === 'stateless') {
      const outlet = new WatchedOutlet(this.#outletOf(event, false), { order: event.order, patience: patienceOf(lifetime) });
      return this.#track(event, target.handle(event, params, outlet, this.#context), ended, outlet);
    }
    let session: LivingSession;
    try {
      session = new LivingSession(event, this.#outletOf(event, true), (outlet) => target.begin(event, params, outlet, this.#context), lifetime);
    } catch (error) {
      this.#logFailure(event, error);
      return this.#track(event, this.#refuse(event, FAILED, 'an error of the consumer\n'), ended);
    }
    this.#living.set(id, session);
    void session.ended.then(() => {
      this.#forget(id, session);
      ended();
    });
  }

  #receive(event: ReceiveEvent, ended: () => void, lifetime: number | undefined): void {
    const living = this.#living.get(event.session);
    if (living !== undefined) return living.receive(event, lifetime);
    const found = this.#router.socket(event.path);
    if (found?.target.kind === 'stateless') {
      const outlet = this.#watched(event, lifetime);
      return this.#track(event, found.target.handle(event, { ...event.params, ...found.params }, outlet, this.#context), ended, outlet);
    }
    // Its handler has ended. What was given back goes with the session.
    if (!this.#wasGivenBack(event))
      void this.#outletOf(event, false)
        .reply({ type: 'done', order: event.order })
        .catch(() => undefined);
    ended();
  }

  #disconnect(event: DisconnectEvent, ended: () => void): void {
    const living = this.#living.get(event.session);
    if (living !== undefined) return living.disconnect(event);
    // A handler that ended here has been told, but an end that crossed with the session's return is told to nobody else.
    if (this.keeps(event.path) && !this.#wasGivenBack(event)) return ended();
    this.#givenBack.delete(event.session);
    this.#bury(event, ended);
  }

  #bury(event: DisconnectEvent, ended: () => void): void {
    const found = this.#router.socket(event.path);
    if (found === undefined) return ended();
    const { target } = found;
    const params = { ...event.params, ...found.params };
    const outlet = this.#outletOf(event, false);
    this.#track(
      event,
      target.kind === 'stateless' ? target.handle(event, params, outlet, this.#context) : target.bury(event, params, outlet, this.#context),
      ended,
    );
  }

  #wasGivenBack({ session, lease, order }: ReceiveEvent | DisconnectEvent): boolean {
    const givenBack = this.#givenBack.get(session);
    return givenBack !== undefined && (order === null || lease === givenBack);
  }

  #forget(id: string, session: LivingSession): void {
    if (this.#living.get(id) === session) this.#living.delete(id);
  }

  /** The way back from an event that is handled by a call of its own. */
  #watched(event: ReceiveEvent | HttpRequestEvent, lifetime: number | undefined): WatchedOutlet {
    const outlet = new WatchedOutlet(this.#outletOf(event, false));
    outlet.came(event.order, patienceOf(lifetime));
    return outlet;
  }

  async #request(event: HttpRequestEvent, outlet: Outlet): Promise<void> {
    const found = this.#router.http(event.path);
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
    return new Socket(event, {}, this.#outletOf(event, false), true).reject(status, text);
  }

  #track(event: GatewayEvent, work: Promise<void>, ended: () => void, outlet?: WatchedOutlet): void {
    const tracked = work
      .catch((error: unknown) => this.#logFailure(event, error))
      .finally(() => {
        this.#passing.delete(tracked);
        ended();
      });
    this.#passing.set(tracked, outlet);
  }

  /** What a handler began, and did not wait for, has failed. */
  #stray(event: GatewayEvent, error: unknown): void {
    const living = this.#living.get(event.session);
    if (living !== undefined) return living.fail(error);
    if (!(error instanceof ConnectionClosedError)) this.#logFailure(event, error);
  }

  #logFailure({ route, type }: GatewayEvent, error: unknown): void {
    this.#context.counts.failed += 1;
    this.#context.log.error('a consumer failed', { route, type, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}
