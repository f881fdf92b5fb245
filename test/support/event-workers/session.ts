import { randomBytes } from 'node:crypto';
import { openLayer, type ChannelLayer, type Message } from '@busgate/layer';
import { Collector } from '../events.ts';

/** A worker may take that long to start on a busy machine. */
const ACCEPT_MS = 60_000;
const HANDLER_MS = 30_000;
const DISCONNECT_MS = 86_400_000;

/** One object of the table of replies. */
export type Reply = Readonly<Record<string, unknown>> & { readonly type?: string; readonly lease?: number; readonly done?: number };

/** A gateway as a worker meets it: events on queues, replies to its channels, as PROTOCOL.md has them. What it does not do is all that a test does. */
export class GatewaySide implements AsyncDisposable {
  readonly layer: ChannelLayer;
  readonly queue: string;

  private constructor(layer: ChannelLayer, queue: string) {
    this.layer = layer;
    this.queue = queue;
  }

  /** `queue`: of its route. */
  static async open(url: string, queue: string): Promise<GatewaySide> {
    return new GatewaySide(await openLayer(url), queue);
  }

  /** A client that has come, to this path of the route. */
  session(path = '/app/open'): Session {
    return new Session(this, path);
  }

  /** What the worker of a queue of its own says of itself. */
  async beats(ownQueue: string): Promise<Collector<string>> {
    const beats = new Collector<string>();
    await this.layer.subscribe(`_worker.${ownQueue}`, (event) => {
      if (event.gap !== true) beats.push((JSON.parse(Buffer.from(event.payload).toString()) as { state: string }).state);
    });
    return beats;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.layer.close();
  }
}

/** A client's session: the test says what happens to it, and sees what is replied. */
export class Session {
  readonly id = randomBytes(12).toString('base64url');
  readonly replies = new Collector<Reply>();
  /** Of the last event. */
  order = 0;
  lease = 1;
  /** Of the worker that has it. */
  ownQueue: string | undefined;
  readonly #gateway: GatewaySide;
  readonly #path: string;
  readonly #channel: string;

  constructor(gateway: GatewaySide, path: string) {
    this.#gateway = gateway;
    this.#path = path;
    this.#channel = gateway.layer.newChannel('session');
    gateway.layer.listen(this.#channel, (payload) => {
      const message = JSON.parse(Buffer.from(payload).toString()) as Reply & { readonly replies?: readonly Reply[] };
      for (const reply of message.replies ?? [message]) this.replies.push(reply);
    });
  }

  /** Queues a connect. */
  async connect(members: Message = {}): Promise<void> {
    await this.#queue('websocket.connect', { ...this.#asked, scheme: 'ws', subprotocols: [], resumed: false, ...members }, this.#gateway.queue, ACCEPT_MS);
  }

  /** Queues a plain request. */
  async request(method: string, body: Uint8Array): Promise<void> {
    await this.#queue('http.request', { ...this.#asked, scheme: 'http', method, body }, this.#gateway.queue, HANDLER_MS);
  }

  /** Queues a connect, and answers the accept. */
  async accepted(members: Message = {}): Promise<Reply> {
    await this.connect(members);
    const accept = await this.reply('websocket.accept');
    this.ownQueue = accept['queue'] as string | undefined;
    return accept;
  }

  /** Another worker is to have it. */
  async resumed(members: Message = {}): Promise<Reply> {
    this.lease += 1;
    this.order += 1;
    return this.accepted({ resumed: true, ...members });
  }

  /** Queues what the client says, with the next order. */
  async receive(content: string | Uint8Array, members: Message = {}, lifetimeMs = HANDLER_MS): Promise<void> {
    this.order += 1;
    const event = typeof content === 'string' ? { text: content } : { bytes: content };
    await this.#queue('websocket.receive', { ...event, ...members }, this.ownQueue ?? this.#gateway.queue, lifetimeMs);
  }

  /** Queues the end: for the worker that has the session, or in another queue. */
  async disconnect(code = 1000, members: Message = {}, queue: string = this.ownQueue ?? this.#gateway.queue): Promise<void> {
    this.order += 1;
    await this.#queue('websocket.disconnect', { code, reason: '', ...members }, queue, DISCONNECT_MS);
  }

  /** What a gateway that died has left in the queue of its route. */
  async leftByGateway(members: Message = {}): Promise<void> {
    await this.disconnect(1006, { order: null, id: `${this.id}:disconnect`, ...members }, this.#gateway.queue);
  }

  /** The next reply, of this type: others before it are passed over. */
  async reply(type: string): Promise<Reply> {
    for (;;) {
      const reply = await this.replies.next();
      if (reply.type === type) return reply;
    }
  }

  /** The next frame that the client is sent. */
  async frame(): Promise<unknown> {
    const { text, bytes } = await this.reply('websocket.send');
    return text ?? bytes;
  }

  /** Until it was replied that these events are handled, in whatever order that was said. */
  async done(...orders: readonly number[]): Promise<void> {
    await this.replies.until((replies) => orders.every((order) => doneIn(replies).includes(order)), `done of ${orders.join(', ')}`);
  }

  /** Orders of the events that were replied to be handled, as that was said. */
  get handled(): readonly number[] {
    return doneIn(this.replies.all);
  }

  get #asked(): Message {
    return {
      query_string: 'a=1',
      raw_path: this.#path,
      http_version: '1.1',
      headers: [['host', 'example.org']],
      client: ['203.0.113.9', 51234],
      server: ['192.0.2.1', 8080],
      user: null,
    };
  }

  async #queue(type: string, members: Message, queue: string, expiryMs: number): Promise<void> {
    const event = {
      type,
      id: `${this.id}:${this.order}`,
      session: this.id,
      order: this.order,
      lease: this.lease,
      reply_channel: this.#channel,
      reply_topic: this.#gateway.layer.replyTopic,
      route: '/app/*',
      path: this.#path,
      params: { rest: this.#path.slice('/app/'.length) },
      state: null,
      ...members,
    };
    await this.#gateway.layer.send(queue, event, { expiryMs, exempt: type === 'websocket.disconnect' });
  }
}

function doneIn(replies: readonly Reply[]): readonly number[] {
  return replies.flatMap(({ type, order, done }) => (type === 'done' ? [order as number] : done === undefined ? [] : [done]));
}
