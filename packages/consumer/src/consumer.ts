import type { Message, Value } from '@busgate/layer';
import type { ConsumerContext, ConsumerLayer } from './context.ts';
import { CloseConnection } from './errors.ts';
import type { Groups } from './consumer-channel.ts';
import type { SocketRequest } from './request.ts';
import type { AcceptOptions, Data, SendOptions, Socket } from './socket.ts';
import type { Params } from './target.ts';
import type { Header } from './wire.ts';

/** What an instance is made of; made by what runs consumers. */
export interface ConsumerParts<P extends Params> {
  readonly socket: Socket<P>;
  readonly groups: Groups;
  readonly context: ConsumerContext;
}

/**
 * One object a socket. Its methods are called one after the other, never two at once: what a handler waits for holds up its own socket alone. An error that it
 * throws closes the socket with 1011.
 */
export class Consumer<P extends Params = Params> {
  /**
   * Messages from groups and other processes, by their `type`: the name of the method that handles each. Anything else is counted and logged, and never
   * run.
   */
  static handlers: Readonly<Record<string, string>> = {};
  /** Groups that every instance is in while its socket lives; or a function of the request and the path's parameters. */
  static groups: readonly string[] | ((request: SocketRequest, params: Params) => readonly string[]) = [];

  readonly socket: Socket<P>;
  /** Groups of consumers: what is sent to one reaches each consumer's {@link handlers}. */
  readonly groups: Groups;
  readonly #context: ConsumerContext;

  constructor({ socket, groups, context }: ConsumerParts<P>) {
    this.socket = socket;
    this.groups = groups;
    this.#context = context;
  }

  get params(): P {
    return this.socket.params;
  }

  get request(): SocketRequest {
    return this.socket.request;
  }

  get layer(): ConsumerLayer {
    return this.#context.layer;
  }

  /** The channel on which this consumer is reached; made with its first group, or with the first look at this. */
  get channelName(): string {
    return this.groups.channel;
  }

  /** What was put on the session, and stays with it. */
  get state(): Value {
    return this.socket.state;
  }

  setState(state: Value): Promise<void> {
    return this.socket.setState(state);
  }

  /** Whether a page of this origin may connect; empty where none was said. The gateway has checked its own list before. A refusal is 403. */
  checkOrigin(_origin: string, _request: SocketRequest): boolean | Promise<boolean> {
    return true;
  }

  /** Which of the client's offers is spoken; undefined: none. */
  selectSubprotocol(_offered: readonly string[], _request: SocketRequest): string | undefined {
    return undefined;
  }

  /** Decides whether to accept; accepts, unless it is overridden. One that returns without having accepted refuses with 403. */
  async connect(): Promise<void> {
    await this.accept();
  }

  receive(_message: Data): void | Promise<void> {}

  /** The socket is gone: called once, last. 1006 where the connection was lost. */
  disconnect(_code: number, _reason: string): void | Promise<void> {}

  accept(options: AcceptOptions = {}): Promise<void> {
    const subprotocol = options.subprotocol ?? this.selectSubprotocol(this.request.subprotocols, this.request);
    return this.socket.accept({ ...options, ...(subprotocol === undefined ? {} : { subprotocol }) });
  }

  reject(status?: number, body?: string, headers?: readonly Header[]): Promise<void> {
    return this.socket.reject(status, body, headers);
  }

  send(data: Data | object, options?: SendOptions): Promise<void> {
    return this.socket.send(data, options);
  }

  close(code?: number, reason?: string): Promise<void> {
    return this.socket.close(code, reason);
  }
}

/** A consumer whose messages are JSON in text frames. Anything else closes the socket with 1008. */
export class JsonConsumer<In = unknown, Out extends object = object, P extends Params = Params> extends Consumer<P> {
  override async receive(message: Data): Promise<void> {
    await this.receiveJson(this.decode(message));
  }

  receiveJson(_content: In): void | Promise<void> {}

  sendJson(content: Out, options?: SendOptions): Promise<void> {
    return this.send(this.encode(content), options);
  }

  encode(content: Out): Data {
    return JSON.stringify(content);
  }

  /** @throws CloseConnection for what is no JSON */
  decode(message: Data): In {
    if (typeof message !== 'string') throw new CloseConnection(1008, 'JSON in a text frame is spoken here');
    try {
      return JSON.parse(message) as In;
    } catch {
      throw new CloseConnection(1008, 'the message is no JSON');
    }
  }
}

/** A class of consumers, as a router takes it. */
export type ConsumerClass = (new (parts: ConsumerParts<never>) => Consumer) & Pick<typeof Consumer, 'handlers' | 'groups'>;

/** A message from a group or another process. */
export type ConsumerMessage = Message & { readonly type?: Value };
