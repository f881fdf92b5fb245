import type { Outlet } from './outlet.ts';
import { Unhandled } from './unhandled.ts';
import type { Reply } from './wire.ts';

const SAID = Promise.resolve();

/** An outlet that knows what has been said: whether the session is open, and which of its events have been handled. */
export class WatchedOutlet implements Outlet {
  readonly isLocal: boolean;
  readonly #outlet: Outlet;
  readonly #connect: { readonly order: number | null; readonly patience: number } | undefined;
  readonly #unhandled = new Unhandled();
  #isOpen = false;
  #isSilent = false;

  /** `connect`: the event that asks for an accept, after which it is in hand like any other. */
  constructor(outlet: Outlet, connect?: { readonly order: number | null; readonly patience: number }) {
    this.isLocal = outlet.isLocal === true;
    this.#outlet = outlet;
    this.#connect = connect;
  }

  /** Whether it was accepted and has not been closed by this side. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether a message has come and has not been handled. */
  get hasMessages(): boolean {
    return this.#unhandled.hasAfter(this.#connect?.order ?? -1);
  }

  reply(reply: Reply): Promise<void> {
    if (this.#isSilent) return SAID;
    if (reply.type === 'websocket.accept') this.#accepted(reply.done);
    else if (reply.type === 'websocket.close') this.#isOpen = false;
    else if (reply.type === 'done') this.#unhandled.done(reply.order);
    if (reply.done !== undefined) this.#unhandled.done(reply.done);
    return this.#outlet.reply(reply);
  }

  /** An event has come, with so long to be handled in, by the clock of {@link keepAlive}. A gateway in this process sees for itself. */
  came(order: number, patience: number): void {
    if (!this.isLocal) this.#unhandled.add(order, performance.now(), patience);
  }

  /** Says of events that take long that they are being handled. */
  keepAlive(now: number): void {
    for (const order of this.#unhandled.due(now)) void this.reply({ type: 'working', order }).catch(() => undefined);
  }

  /** Nothing more is said: somebody else speaks for the session. */
  silence(): void {
    this.#isSilent = true;
  }

  #accepted(done: number | undefined): void {
    this.#isOpen = true;
    if (this.#connect === undefined || this.#connect.order === null || done !== undefined) return;
    this.came(this.#connect.order, this.#connect.patience);
  }
}
