import type { Message } from '@busgate/layer';
import { Consumer, type ConsumerClass, type ConsumerParts } from './consumer.ts';
import { Groups } from './consumer-channel.ts';
import type { ConsumerContext } from './context.ts';
import { AcceptConnection, ConnectionClosedError, RejectConnection } from './errors.ts';
import { conclude } from './outcome.ts';
import type { Outlet } from './outlet.ts';
import { connectOf, Socket } from './socket.ts';
import type { Conversation, LivingTarget, Params } from './target.ts';
import type { ConnectEvent, DisconnectEvent, ReceiveEvent } from './wire.ts';

export function isConsumerClass(value: unknown): value is ConsumerClass {
  return typeof value === 'function' && (value === Consumer || value.prototype instanceof Consumer);
}

const NO_CLOSE_FRAME = 1006;

/** Makes sockets' consumers of this class. */
export function classTarget(Class: ConsumerClass): LivingTarget {
  return {
    kind: 'living',
    begin: (event, params, outlet, context) => new ClassConversation(Class, event, params, outlet, context),
    bury: async (event, params, outlet, context) => {
      const conversation = new ClassConversation(Class, connectOf(event), params, outlet, context, true);
      conversation.disconnect(event);
      await conversation.ended;
    },
  };
}

/** One consumer and its socket: everything that it handles passes one queue. */
class ClassConversation implements Conversation {
  readonly ended: Promise<void>;
  readonly #Class: ConsumerClass;
  readonly #consumer: Consumer;
  readonly #socket: Socket;
  readonly #outlet: Outlet;
  readonly #groups: Groups;
  readonly #context: ConsumerContext;
  readonly #route: string;
  readonly #end: () => void;
  #last: Promise<void> = Promise.resolve();
  /** What has been queued and has not come to its end. */
  #steps = 0;
  /** The consumer was told the end, or will be when what is before it has been handled. */
  #isLeaving = false;
  /** Nothing more is begun: what comes is handled with that. */
  #hasEnded = false;
  /** Nothing more is begun: what comes is another worker's. */
  #isReleased = false;

  /** `isBurial`: the session's consumer died elsewhere, and this one only takes leave of it. */
  constructor(Class: ConsumerClass, event: ConnectEvent, params: Params, outlet: Outlet, context: ConsumerContext, isBurial = false) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
    this.#Class = Class;
    this.#route = event.route;
    this.#outlet = outlet;
    this.#context = context;
    this.#socket = new Socket(event, params, outlet, false);
    this.#groups = new Groups(context.layer, (message) => this.#queue(() => this.#dispatch(message)));
    this.#consumer = new Class({ socket: this.#socket as Socket<never>, groups: this.#groups, context } satisfies ConsumerParts<never>);
    if (isBurial) return;
    void this.#queue(() => this.#connect(), event.order);
    this.#last = this.#last.then(() => this.#endIfRefused());
  }

  get isBusy(): boolean {
    return this.#steps > 0;
  }

  receive({ text, bytes, order }: ReceiveEvent): void {
    void this.#queue(() => this.#consumer.receive(text ?? bytes ?? ''), order);
  }

  disconnect({ code, reason }: DisconnectEvent): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.#socket.gone(code, reason);
    this.#last = this.#last.then(() => this.#leave(code, reason));
  }

  fail(error: unknown): void {
    void this.#attempt(() => Promise.reject(error as Error));
  }

  async release(): Promise<void> {
    this.#isReleased = true;
    await this.#last;
    await this.#groups.close();
    // The client may have left meanwhile.
    await this.#last;
    this.#end();
  }

  /** Runs `step` after all that was queued before, unless the consumer has ended or closed meanwhile; then the event of this order has been handled. Never rejects. */
  #queue(step: () => void | Promise<void>, order?: number): Promise<void> {
    this.#steps += 1;
    this.#last = this.#last.then(async () => {
      await this.#take(step, order);
      this.#steps -= 1;
    });
    return this.#last;
  }

  async #take(step: () => void | Promise<void>, order: number | undefined): Promise<void> {
    if (this.#isReleased) return;
    if (!this.#hasEnded && !this.#socket.isForsaken) await this.#attempt(step);
    if (order !== undefined) await this.#outlet.reply({ type: 'done', order }).catch(() => undefined);
  }

  async #attempt(step: () => void | Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      // Whose client has gone while it spoke is given what that client had said before.
      this.#hasEnded ||= !(error instanceof ConnectionClosedError);
      await conclude(error, this.#socket, this.#route, this.#context).catch((cause: unknown) =>
        this.#context.log.warn('a socket could not be ended', { error: String(cause) }),
      );
    }
  }

  async #connect(): Promise<void> {
    const { request } = this.#socket;
    if (request.origin !== '' && !(await this.#consumer.checkOrigin(request.origin, request))) throw new RejectConnection(403, 'this origin may not connect\n');
    const { groups } = this.#Class;
    for (const group of typeof groups === 'function' ? groups(request, this.#socket.params) : groups) await this.#groups.add(group);
    await this.#decide();
    if (!this.#socket.accepted && !this.#socket.closed) await this.#socket.reject();
  }

  /** Calls `connect`, which may say by what it throws that it accepts. */
  async #decide(): Promise<void> {
    try {
      await this.#consumer.connect();
    } catch (error) {
      if (!(error instanceof AcceptConnection)) throw error;
      await this.#consumer.accept(error.subprotocol === undefined ? {} : { subprotocol: error.subprotocol });
    }
  }

  async #dispatch(message: Message): Promise<void> {
    const type = message['type'];
    const { handlers } = this.#Class;
    const name = typeof type === 'string' && Object.hasOwn(handlers, type) ? handlers[type] : undefined;
    const method: unknown = name === undefined ? undefined : (this.#consumer as unknown as Record<string, unknown>)[name];
    if (typeof method === 'function') return void (await method.call(this.#consumer, message));
    this.#context.counts.unhandled += 1;
    this.#context.log.warn('a message for a consumer has a type that it does not handle', {
      route: this.#route,
      type: typeof type === 'string' ? type.slice(0, 100) : typeof type,
    });
  }

  /** The end of a session that was refused goes to whichever worker takes it: this consumer is told here. Of one that another worker had, that worker's is told. */
  async #endIfRefused(): Promise<void> {
    if (this.#isLeaving || !this.#socket.isRefused) return;
    this.#isLeaving = true;
    if (!this.#socket.resumed) return this.#leave(NO_CLOSE_FRAME, '');
    await this.#groups.close();
    this.#end();
  }

  async #leave(code: number, reason: string): Promise<void> {
    this.#hasEnded = true;
    await this.#groups.close();
    try {
      await this.#consumer.disconnect(code, reason);
    } catch (error) {
      await conclude(error, this.#socket, this.#route, this.#context);
    }
    this.#end();
  }
}
