import type { ConsumerContext } from './context.ts';
import { Released } from './errors.ts';
import { conclude } from './outcome.ts';
import type { Outlet } from './outlet.ts';
import { Socket } from './socket.ts';
import type { Conversation, LivingTarget, Params } from './target.ts';
import type { ConnectEvent, DisconnectEvent, ReceiveEvent } from './wire.ts';

/** A function that has the socket for as long as it runs. */
export type SocketFunction<P extends Params = Params> = (socket: Socket<P>, context: ConsumerContext) => unknown;

/**
 * A consumer that is one function: the connection is accepted when the socket is first used, closed with 1000 when the function returns, and with 1011 when
 * it throws. Before it is used, `RejectConnection` refuses it.
 */
export function consumer<P extends Params = Params>(run: SocketFunction<P>): LivingTarget {
  return {
    kind: 'living',
    begin: (event, params, outlet, context) => new FunctionConversation(run as SocketFunction, event, params, outlet, context),
    bury: () => Promise.resolve(),
  };
}

class FunctionConversation implements Conversation {
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  readonly #route: string;
  readonly #context: ConsumerContext;
  #isReleased = false;

  constructor(run: SocketFunction, event: ConnectEvent, params: Params, outlet: Outlet, context: ConsumerContext) {
    this.#route = event.route;
    this.#context = context;
    this.#socket = new Socket(event, params, outlet, true);
    this.ended = this.#run(run);
  }

  get isBusy(): boolean {
    return this.#socket.isBusy;
  }

  receive({ text, bytes, order }: ReceiveEvent): void {
    this.#socket.deliver({ data: text ?? bytes ?? '', order });
  }

  disconnect({ code, reason }: DisconnectEvent): void {
    this.#socket.gone(code, reason);
  }

  /** The function ends at its next wait for a message; what it was not given goes with the session. */
  async release(): Promise<void> {
    this.#isReleased = true;
    this.#socket.interrupt(new Released());
    await this.ended;
  }

  fail(error: unknown): void {
    void this.#conclude(error);
  }

  async #run(run: SocketFunction): Promise<void> {
    try {
      await run(this.#socket, this.#context);
      // Who has not answered at its end refuses, whatever comes after it.
      if (!this.#isReleased || !this.#socket.accepted) await this.#socket.close();
    } catch (error) {
      await this.#conclude(error);
    }
    // What a worker gives back goes with the session.
    if (this.#isReleased) this.#socket.handOver();
    else this.#socket.finish();
  }

  async #conclude(error: unknown): Promise<void> {
    await conclude(error, this.#socket, this.#route, this.#context).catch((cause: unknown) =>
      this.#context.log.warn('a socket could not be ended', { error: String(cause) }),
    );
  }
}
