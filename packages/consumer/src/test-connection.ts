import { isUtf8 } from 'node:buffer';
import { openLayer, type ChannelLayer, type Subscription, type Value } from '@busgate/layer';
import type { ConsumerLog } from './context.ts';
import { Inbox } from './inbox.ts';
import { asRouter } from './router.ts';
import { Runner } from './runner.ts';
import type { Data } from './socket.ts';
import type { Content, GatewayEvent, Header, Reply } from './wire.ts';

export interface TestOptions {
  /** With its query. Default `/`. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly subprotocols?: readonly string[];
  readonly user?: string;
  /** What is known of the user besides. */
  readonly info?: Value;
  readonly params?: Readonly<Record<string, string>>;
  /** What the session carries from the start. */
  readonly state?: Value;
  /** A layer of the caller's, which the caller closes: connections that share one hear each other. Default a bus of its own. */
  readonly layer?: ChannelLayer;
  /** Where failing consumers are logged; default: nowhere. */
  readonly log?: ConsumerLog;
}

/** Milliseconds that each wait for the consumer may take where nothing else is said. */
const PATIENCE_MS = 5000;
const SILENT: ConsumerLog = { warn: () => undefined, error: () => undefined };
let sessions = 0;

/**
 * Connects to a consumer, a router or whatever a module exports, in this process and without a socket: for tests of consumers. Resolves when the
 * consumer has accepted or refused.
 */
export async function connectTo(exported: unknown, options: TestOptions = {}): Promise<TestConnection> {
  const router = asRouter(exported);
  if (router === undefined) throw new TypeError('connectTo takes a Consumer class, or what consumer(), handlers(), http() or router() made');
  const layer = options.layer ?? (await openLayer(`memory:test-${(sessions += 1)}`));
  const connection = new TestConnection(layer, layer !== options.layer);
  const runner = new Runner(router, { layer, log: options.log ?? SILENT }, () => ({ reply: (reply) => connection.take(reply) }));
  await connection.open(runner, options);
  return connection;
}

/** The client's end of a connection to a consumer. */
export class TestConnection implements AsyncDisposable {
  /** Whether the consumer has accepted; else {@link status} says how it refused. */
  accepted = false;
  subprotocol: string | undefined;
  /** Headers of the answer. */
  headers: readonly Header[] = [];
  /** 101, or the status of the refusal. */
  status = 0;
  /** The code with which the consumer closed; undefined while it has not. */
  closeCode: number | undefined;
  closeReason = '';
  /** Rooms that the consumer had its client join: what is published there is received. */
  readonly rooms = new Set<string>();
  readonly #layer: ChannelLayer;
  readonly #subscriptions = new Map<string, Promise<Subscription>>();
  readonly #left = new AbortController();
  /** The channel of the session, which is what is in groups; made with the first of them. */
  #channel: string | undefined;
  readonly #ownsLayer: boolean;
  readonly #received = new Inbox<Data>();
  readonly #answered = Promise.withResolvers<void>();
  /** Resolves when what began with the connect has come to its end. */
  #lived: Promise<void> | undefined;
  #runner: Runner | undefined;
  #base: Omit<GatewayEvent, 'type' | 'id' | 'order'> | undefined;
  #order = 0;
  #state: Value = null;

  /** Use {@link connectTo}. */
  constructor(layer: ChannelLayer, ownsLayer: boolean) {
    this.#layer = layer;
    this.#ownsLayer = ownsLayer;
  }

  /** What the consumer put on the session. */
  get state(): Value {
    return this.#state;
  }

  /** Resolves when what began with the connect has come to its end: the function, or the object. */
  get ended(): Promise<void> {
    return this.#lived ?? Promise.resolve();
  }

  /** The next message from the consumer, or the rejection after `timeout` milliseconds. */
  receive({ timeout = PATIENCE_MS }: { readonly timeout?: number } = {}): Promise<Data> {
    return this.#received.receive({ timeout });
  }

  async receiveJson(options?: { readonly timeout?: number }): Promise<unknown> {
    const message = await this.receive(options);
    if (typeof message !== 'string') throw new TypeError('the consumer sent bytes, not JSON');
    return JSON.parse(message);
  }

  /** Resolves true where nothing came within so many milliseconds; what comes later is not lost. */
  async receiveNothing({ within = 100 }: { readonly within?: number } = {}): Promise<boolean> {
    if (this.#received.size > 0) return false;
    await new Promise((resolve) => setTimeout(resolve, within));
    return this.#received.size === 0;
  }

  send(data: Data | object): void {
    const content = data instanceof Uint8Array ? { bytes: data } : { text: typeof data === 'string' ? data : JSON.stringify(data) };
    void this.#give({ type: 'websocket.receive', ...content });
  }

  /** The client leaves; resolves when the consumer has ended. */
  async disconnect(code = 1000, reason = ''): Promise<void> {
    const session = this.#base?.session ?? '';
    const lives = this.#runner?.has(session) === true;
    const told = this.#give({ type: 'websocket.disconnect', code, reason });
    await (lives ? this.#lived : told);
    this.#left.abort();
    if (this.#channel !== undefined) await this.#layer.closeChannel(this.#channel);
    await Promise.all([...this.#subscriptions.values()].map(async (subscription) => (await subscription).close()));
    this.#subscriptions.clear();
    if (this.#ownsLayer) await this.#layer.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect();
  }

  /** For {@link connectTo}. */
  async open(runner: Runner, { path = '/', headers = {}, subprotocols = [], user, info, params = {}, state = null }: TestOptions): Promise<void> {
    const session = `test-${(sessions += 1)}`;
    const [rawPath = '/', query = ''] = path.split('?', 2);
    this.#runner = runner;
    this.#state = state;
    this.#base = {
      session,
      lease: 1,
      reply_channel: session,
      reply_topic: session,
      route: 'test',
      path: decodeURIComponent(rawPath),
      params,
      state,
      ...(user !== undefined && { user }),
      ...(info !== undefined && { info }),
    };
    this.#lived = this.#give({
      type: 'websocket.connect',
      query_string: query,
      raw_path: rawPath,
      scheme: 'ws',
      http_version: '1.1',
      headers: Object.entries({ host: 'localhost', ...headers }).map(([name, value]) => [name.toLowerCase(), value]),
      client: ['127.0.0.1', 1],
      server: ['127.0.0.1', 80],
      user: user ?? null,
      subprotocols,
      resumed: false,
    });
    await this.#answered.promise;
  }

  /** For {@link connectTo}: does what a gateway does with a reply. */
  async take(reply: Reply): Promise<void> {
    switch (reply.type) {
      case 'websocket.accept':
        this.accepted = true;
        this.subprotocol = reply.subprotocol;
        return this.#answer(101, reply.headers);
      case 'websocket.http.response.start':
        return this.#answer(reply.status, reply.headers);
      case 'websocket.send':
        return this.#received.put(contentOf(reply));
      case 'websocket.close':
        return this.#close(reply.code, reply.reason);
      case 'room.join':
        return this.#join(reply.room, reply.since);
      case 'room.leave':
        return this.#leave(reply.room);
      case 'group.add':
        return this.#layer.groupAdd(reply.group, this.#ownChannel());
      case 'group.discard':
        return this.#layer.groupDiscard(reply.group, this.#ownChannel());
      case 'group.send':
        return void (await this.#layer.groupSend(reply.group, reply.message));
      case 'room.publish':
        return void (await this.#layer.publish(reply.room, contentOf(reply)));
      case 'state':
        this.#state = reply.state;
        return;
      default:
    }
  }

  async #join(room: string, since: string | undefined): Promise<void> {
    if (this.rooms.has(room)) return;
    this.rooms.add(room);
    const subscription = this.#layer.subscribe(
      room,
      (event) => {
        if (event.gap !== true) this.#received.put(dataOf(event.payload));
      },
      since === undefined ? {} : { since },
    );
    this.#subscriptions.set(room, subscription);
    await subscription;
  }

  async #leave(room: string): Promise<void> {
    this.rooms.delete(room);
    const subscription = this.#subscriptions.get(room);
    this.#subscriptions.delete(room);
    await (await subscription)?.close();
  }

  #ownChannel(): string {
    if (this.#channel === undefined) {
      this.#channel = this.#layer.newChannel('session');
      void this.#obey(this.#channel);
    }
    return this.#channel;
  }

  /** What groups are sent is a reply to each session. */
  async #obey(channel: string): Promise<void> {
    const { signal } = this.#left;
    while (!signal.aborted) {
      const reply = await this.#layer.receive(channel, { signal }).catch(() => undefined);
      if (reply === undefined) return;
      await this.take(reply as unknown as Reply);
    }
  }

  #answer(status: number, headers: readonly Header[] = []): void {
    this.status = status;
    this.headers = headers;
    this.#answered.resolve();
  }

  #close(code: number, reason: string): void {
    if (!this.accepted) return this.#answer(403);
    this.closeCode = code;
    this.closeReason = reason;
    this.#received.end(new Error(`the consumer closed with ${code}${reason === '' ? '' : `: ${reason}`}`));
  }

  #give(event: { readonly type: GatewayEvent['type']; readonly [member: string]: unknown }): Promise<void> {
    const order = this.#order;
    this.#order += 1;
    const whole = { ...this.#base, ...event, id: `${this.#base?.session}:${order}`, order, state: this.#state } as unknown as GatewayEvent;
    return new Promise((resolve) => this.#runner?.handle(whole, resolve));
  }
}

function dataOf(payload: Uint8Array): Data {
  return isUtf8(payload) ? new TextDecoder().decode(payload) : payload;
}

function contentOf({ text, bytes }: Content): Data {
  return text ?? bytes ?? '';
}
