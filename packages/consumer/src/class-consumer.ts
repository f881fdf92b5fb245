import type { Message } from '@busgate/layer';
import type { Consumer, ConsumerClass, ConsumerParts } from './consumer.ts';
import { Groups } from './consumer-channel.ts';
import type { ConsumerContext } from './context.ts';
import { AcceptConnection, RejectConnection } from './errors.ts';
import { conclude } from './outcome.ts';
import type { Outlet } from './outlet.ts';
import { connectOf, Socket } from './socket.ts';
import type { Conversation, LivingTarget, Params } from './target.ts';
import type { ConnectEvent, DisconnectEvent, ReceiveEvent } from './wire.ts';

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
  #hasEnded = false;

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
    if (!isBurial) void this.#queue(() => this.#connect(event.order));
  }

  receive({ text, bytes, order }: ReceiveEvent): void {
    void this.#queue(async () => {
      await this.#consumer.receive(text ?? bytes ?? '');
      if (!this.#socket.closed) await this.#outlet.reply({ type: 'done', order });
    });
  }

  disconnect({ code, reason }: DisconnectEvent): void {
    this.#socket.gone(code, reason);
    this.#last = this.#last.then(() => this.#leave(code, reason));
  }

  async release(): Promise<void> {
    this.#hasEnded = true;
    await this.#last;
    await this.#groups.close();
    this.#end();
  }

  /** Runs `step` after all that was queued before, unless the consumer has ended meanwhile. Never rejects. */
  #queue(step: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(async () => {
      if (this.#hasEnded) return;
      try {
        await step();
      } catch (error) {
        this.#hasEnded = true;
        await conclude(error, this.#socket, this.#route, this.#context).catch((cause: unknown) =>
          this.#context.log.warn('a socket could not be ended', { error: String(cause) }),
        );
      }
    });
    return this.#last;
  }

  async #connect(order: number): Promise<void> {
    const { request } = this.#socket;
    if (request.origin !== '' && !(await this.#consumer.checkOrigin(request.origin, request))) throw new RejectConnection(403, 'this origin may not connect\n');
    const { groups } = this.#Class;
    for (const group of typeof groups === 'function' ? groups(request) : groups) await this.#groups.add(group);
    await this.#decide();
    if (!this.#socket.accepted && !this.#socket.closed) await this.#socket.reject();
    else if (this.#socket.accepted) await this.#outlet.reply({ type: 'done', order });
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
    this.#context.log.warn('a message for a consumer has a type that it does not handle', {
      route: this.#route,
      type: typeof type === 'string' ? type.slice(0, 100) : typeof type,
    });
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
