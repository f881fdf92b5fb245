import type { Value } from '@busgate/layer';
import { classTarget, isConsumerClass } from './class-consumer.ts';
import type { ConsumerClass } from './consumer.ts';
import type { ConsumerContext } from './context.ts';
import type { Outlet } from './outlet.ts';
import type { Conversation, LivingTarget, Params } from './target.ts';
import type { ConnectEvent, Content, DisconnectEvent, ReceiveEvent, Reply } from './wire.ts';

const NOT_SPOKEN = { type: 'websocket.close', code: 1008, reason: 'a frame is {"stream": one of those here, "payload": …}' } as const;

/**
 * Several consumers on one socket: each frame is `{"stream": name, "payload": …}` in JSON, and goes to the consumer of that name, which sees its payload as JSON text,
 * and whose messages, which must be JSON, leave in the same envelope. The socket is accepted when all of them have accepted, refused when one refuses, and closed when
 * one closes. Each has a state of its own. What is no such frame closes the socket with 1008.
 */
export function demultiplex(streams: Readonly<Record<string, ConsumerClass | LivingTarget>>): LivingTarget {
  const targets = new Map(Object.entries(streams).map(([name, one]) => [name, isConsumerClass(one) ? classTarget(one) : one]));
  if (targets.size === 0) throw new TypeError('demultiplex takes one consumer at least');
  return {
    kind: 'living',
    begin: (event, params, outlet, context) => new Demultiplexer(targets, event, params, outlet, context),
    bury: async (event, params, outlet, context) => {
      await Promise.all([...targets].map(([name, target]) => target.bury({ ...event, state: statesOf(event.state)[name] ?? null }, params, outlet, context)));
    },
  };
}

class Demultiplexer implements Conversation {
  readonly ended: Promise<void>;
  readonly #streams = new Map<string, Conversation>();
  readonly #outlet: Outlet;
  readonly #connectOrder: number;
  readonly #size: number;
  readonly #accepted = new Set<string>();
  /** Streams that have not handled the connect. */
  #connecting: number;
  /** What those that have accepted say before all have. */
  #early: Reply[] = [];
  /** The stream that refused; others refuse in vain. */
  #refuser: string | undefined;
  #states: Readonly<Record<string, Value>>;

  constructor(targets: ReadonlyMap<string, LivingTarget>, event: ConnectEvent, params: Params, outlet: Outlet, context: ConsumerContext) {
    this.#outlet = outlet;
    this.#connectOrder = event.order;
    this.#size = targets.size;
    this.#connecting = targets.size;
    this.#states = statesOf(event.state);
    for (const [name, target] of targets) {
      const reply = (said: Reply): Promise<void> => this.#reply(name, said);
      const own = { reply, isLocal: outlet.isLocal === true };
      this.#streams.set(name, target.begin({ ...event, state: this.#states[name] ?? null }, params, own, context));
    }
    this.ended = Promise.all([...this.#streams.values()].map(({ ended }) => ended)).then(() => undefined);
  }

  get isBusy(): boolean {
    return [...this.#streams.values()].some((stream) => stream.isBusy);
  }

  receive(event: ReceiveEvent): void {
    const frame = frameOf(event.text);
    const stream = frame === undefined ? undefined : this.#streams.get(frame.stream);
    if (frame !== undefined && stream !== undefined) return stream.receive({ ...event, text: frame.payload });
    void this.#outlet.reply({ ...NOT_SPOKEN, done: event.order }).catch(() => undefined);
  }

  disconnect(event: DisconnectEvent): void {
    for (const [name, stream] of this.#streams) stream.disconnect({ ...event, state: this.#states[name] ?? null });
  }

  async release(): Promise<void> {
    await Promise.all([...this.#streams.values()].map((stream) => stream.release()));
  }

  fail(error: unknown): void {
    for (const stream of this.#streams.values()) stream.fail(error);
  }

  get #isAccepted(): boolean {
    return this.#accepted.size === this.#size;
  }

  async #reply(name: string, { done, ...said }: Reply): Promise<void> {
    await this.#say(name, said as Reply);
    if (done !== undefined) await this.#done(done);
  }

  async #say(name: string, said: Reply): Promise<void> {
    switch (said.type) {
      case 'websocket.accept':
        return this.#accept(name, said);
      case 'websocket.http.response.start':
      case 'websocket.http.response.body':
        this.#refuser ??= name;
        return this.#refuser === name ? this.#outlet.reply(said) : undefined;
      case 'done':
        return this.#done(said.order);
      case 'state':
        this.#states = { ...this.#states, [name]: said.state };
        return this.#outlet.reply({ type: 'state', state: this.#states });
      case 'websocket.close':
        return this.#close(name, said);
      case 'websocket.send':
        return this.#afterAccept({ type: 'websocket.send', text: `{"stream":${JSON.stringify(name)},"payload":${payloadOf(said)}}` });
      default:
        return this.#afterAccept(said);
    }
  }

  /** The last one to accept says with which subprotocol and headers. */
  async #accept(name: string, said: Reply): Promise<void> {
    this.#accepted.add(name);
    if (!this.#isAccepted) return;
    const early = this.#early;
    this.#early = [];
    await Promise.all([said, ...early].map((reply) => this.#outlet.reply(reply)));
  }

  /** One that has not accepted refuses with it; one that has, and others have not, closes when they have. */
  async #close(name: string, said: Reply): Promise<void> {
    if (this.#accepted.has(name)) return this.#afterAccept(said);
    this.#refuser ??= name;
    await this.#outlet.reply(said);
  }

  async #afterAccept(said: Reply): Promise<void> {
    if (this.#isAccepted) await this.#outlet.reply(said);
    else this.#early.push(said);
  }

  /** The connect is every stream's, any other event one's. */
  async #done(order: number): Promise<void> {
    if (order === this.#connectOrder) this.#connecting -= 1;
    if (order !== this.#connectOrder || this.#connecting === 0) await this.#outlet.reply({ type: 'done', order });
  }
}

/** Undefined for what is no frame of a stream. */
function frameOf(text: string | undefined): { readonly stream: string; readonly payload: string } | undefined {
  if (text === undefined) return undefined;
  try {
    const { stream, payload } = JSON.parse(text) as { readonly stream?: unknown; readonly payload?: unknown };
    return typeof stream === 'string' && payload !== undefined ? { stream, payload: JSON.stringify(payload) } : undefined;
  } catch {
    return undefined;
  }
}

/** @throws TypeError for what is no JSON: nothing else fits into the envelope */
function payloadOf({ text }: Content): string {
  try {
    JSON.parse(text ?? '');
    return text ?? '';
  } catch {
    throw new TypeError('what the consumer of a stream sends must be JSON');
  }
}

function statesOf(state: Value): Readonly<Record<string, Value>> {
  return typeof state === 'object' && state !== null && !Array.isArray(state) ? (state as Readonly<Record<string, Value>>) : {};
}
