import type { Outlet } from './outlet.ts';
import type { Conversation } from './target.ts';
import { patienceOf } from './unhandled.ts';
import { WatchedOutlet } from './watched-outlet.ts';
import type { ConnectEvent, DisconnectEvent, ReceiveEvent } from './wire.ts';

/** A session whose handler lives in this process, under one lease: what that handler is given, once and of no other lease, and what it says. */
export class LivingSession {
  readonly lease: number;
  readonly #outlet: WatchedOutlet;
  readonly #conversation: Conversation;
  #lastOrder: number;
  #isGone = false;

  /** `lifetime`: how long the connect may wait, in milliseconds, where that is known. What `begin` throws is thrown. */
  constructor(event: ConnectEvent, outlet: Outlet, begin: (outlet: Outlet) => Conversation, lifetime?: number) {
    this.lease = event.lease;
    this.#lastOrder = event.order;
    this.#outlet = new WatchedOutlet(outlet, { order: event.order, patience: patienceOf(lifetime) });
    this.#conversation = begin(this.#outlet);
  }

  /** Resolves when the handler has ended; never rejects. */
  get ended(): Promise<void> {
    return this.#conversation.ended;
  }

  receive(event: ReceiveEvent, lifetime?: number): void {
    // A broker that died may hand out again what it was told had been taken.
    if (event.lease !== this.lease || event.order <= this.#lastOrder) return;
    this.#lastOrder = event.order;
    this.#outlet.came(event.order, patienceOf(lifetime));
    this.#conversation.receive(event);
  }

  /** What a gateway that died has left behind (its order is null) was written under whatever lease the session had then. */
  disconnect(event: DisconnectEvent): void {
    if (this.#isGone || (event.order !== null && event.lease !== this.lease)) return;
    this.#isGone = true;
    this.#conversation.disconnect(event);
  }

  fail(error: unknown): void {
    this.#conversation.fail(error);
  }

  keepAlive(now: number): void {
    if (!this.#isGone && this.#conversation.isBusy) this.#outlet.keepAlive(now);
  }

  /** Finishes what is in hand, begins nothing more, and gives the session back. True where another worker is to have it. */
  async release(): Promise<boolean> {
    await this.#conversation.release();
    return this.#giveBack();
  }

  /** Others have the session by now, or will: what is in hand goes on, and is heard by nobody. Where no message is, it is given back. */
  forsake(): void {
    if (!this.#conversation.isBusy || !this.#outlet.hasMessages) this.#giveBack();
    this.abandon();
  }

  /** Another handler has the session. */
  abandon(): void {
    this.#outlet.silence();
    void this.#conversation.release();
  }

  #giveBack(): boolean {
    const isAnothers = this.#outlet.isOpen && !this.#isGone;
    if (isAnothers) void this.#outlet.reply({ type: 'websocket.release' }).catch(() => undefined);
    this.#outlet.silence();
    return isAnothers;
  }
}
