import type { Buffer } from 'node:buffer';
import { setTimeout } from 'node:timers/promises';
import { withResolvers, LayerError, Reconnecting, isLayerError, type Absence, type DriverEvents, type LayerLogger, type Met } from '@busgate/layer/driver';
import { Connection, type Access, type Argument } from './connection.ts';
import { faultOf, isLostNode, layerError, replyCode } from './errors.ts';
import { within } from './proof.ts';
import { Subscriber, type Held } from './subscriber.ts';
import { Subscriptions } from './subscriptions.ts';
import { addressOf, type Node } from './url.ts';

/** Between two proofs that both connections are alive; with the time a proof may take, a dead link is found within 4 s. */
const BEAT_MS = 1000;
/** How often `close` looks whether answers have come, and how many times. */
const LAST_LOOK_MS = 5;
const LAST_LOOKS = 400;

export interface ShardSettings extends Pick<DriverEvents, 'fault'> {
  readonly access: Access;
  readonly logger: LayerLogger;
  /** On Redis Cluster: topics are held sharded and plain. */
  readonly sharded: boolean;
  /** A channel of this connection pair alone. */
  readonly probeChannel: string;
  /** A key that is deleted to see whether the server takes writes. */
  readonly writeProbe: string | undefined;
  /** Where the server is just now. */
  locate(): Promise<Node>;
  /** Where it is now, where that may change while this one still answers; undefined where nobody says. */
  relocate(): Promise<Node | undefined>;
  /** Called with each new connection for commands, before it is used; answers the server's `run_id`, where that may be known. */
  greet(connection: Connection): Promise<string | undefined>;
  /** Called after each proof, with the connection for commands; waited for by nobody. */
  proved(connection: Connection): void;
  /** Called when the state has changed. */
  changed(): void;
  /** Called when the server ended a subscription because its slot has moved. */
  moved(): void;
}

/**
 * One Redis server that takes writes, and this process's two connections to it: one for commands, one for subscriptions. It keeps trying for ever; it
 * is connected while both have been proved by a message of our own, published on the one and received on the other.
 */
export class Shard {
  readonly #settings: ShardSettings;
  readonly #subscriptions: Subscriptions;
  readonly #others = new Set<Connection>();
  readonly #reconnecting: Reconnecting;
  #commands: Connection | undefined;
  #subscriber: Subscriber | undefined;
  /** The server at the connection for commands. */
  #met: Met | undefined;
  /** Why the connections were given up, where it is more than that one broke. */
  #cause: Error | undefined;
  #probe = 0;
  #awaited: { readonly id: string; resolve(): void } | undefined;

  constructor(settings: ShardSettings) {
    this.#settings = settings;
    this.#subscriptions = new Subscriptions(settings.logger, {
      refused: (reason) => settings.fault('refused', reason),
      moved: () => settings.moved(),
    });
    this.#reconnecting = new Reconnecting({
      hold: (reached, signal) => this.#hold(reached, signal),
      absenceOf,
      connected: () => settings.changed(),
      away: () => settings.changed(),
      fault: (kind, reason) => settings.fault(kind, reason),
    });
  }

  get connected(): boolean {
    return this.#reconnecting.isConnected;
  }

  /** Why it is away. */
  get reason(): string | undefined {
    return this.#reconnecting.reason;
  }

  get node(): Node | undefined {
    return this.#commands?.node;
  }

  /** Resolves after the first attempt, whatever its outcome, save refused credentials. */
  async open(): Promise<void> {
    try {
      await this.#reconnecting.open();
    } catch (error) {
      this.#destroy();
      throw error;
    }
  }

  /** @throws LayerError LAYER_AWAY, OUTCOME_UNKNOWN, REFUSED */
  run(name: string, ...args: Argument[]): Promise<unknown> {
    return this.runFor(1, name, args);
  }

  /** Runs a command in which so many of the layer's calls are. */
  async runFor(calls: number, name: string, args: readonly Argument[]): Promise<unknown> {
    const commands = this.#commands;
    if (commands === undefined) throw new LayerError('LAYER_AWAY', `Redis is away: ${this.reason ?? 'not reached yet'}`);
    try {
      return await commands.runFor(calls, name, args);
    } catch (error) {
      if (isLostNode(error)) this.#giveUp(commands, error as Error);
      else this.blame(error);
      throw error;
    }
  }

  /** Tells what a failed command says of a server that lives; nothing where it says nothing of it. */
  blame(error: unknown): void {
    if (error instanceof LayerError && error.fault !== undefined) this.#settings.fault(error.fault, error.message);
  }

  /** Another connection to the same server, for commands that wait. */
  async connect(): Promise<Connection> {
    const node = this.#commands?.node;
    if (node === undefined) throw new LayerError('LAYER_AWAY', `Redis is away: ${this.reason ?? 'not reached yet'}`);
    const connection = await this.#open(node);
    this.#others.add(connection);
    void connection.ended.then(() => this.#others.delete(connection));
    return connection;
  }

  async subscribe(name: string, held: Held): Promise<void> {
    const subscriber = this.#subscriber;
    if (subscriber === undefined) throw new LayerError('LAYER_AWAY', `Redis is away: ${this.reason ?? 'not reached yet'}`);
    try {
      await subscriber.subscribe(held);
    } catch (error) {
      if (!isLayerError(error, 'OUTCOME_UNKNOWN')) throw error;
      throw new LayerError('LAYER_AWAY', `Redis left before it confirmed the subscription of ${name}`, { cause: error });
    }
    if (this.#subscriber !== subscriber) throw new LayerError('LAYER_AWAY', `Redis left while ${name} was being subscribed`);
    this.#subscriptions.set(name, held);
  }

  /** Takes over topics that another shard had, and tells each a gap. Resolves when they are subscribed, or will be before this one is connected again. */
  async adopt(topics: readonly (readonly [name: string, held: Held])[]): Promise<void> {
    for (const [name, held] of topics) this.#subscriptions.set(name, held);
    const subscriber = this.#subscriber;
    if (subscriber === undefined) return;
    const held = topics.map(([, topic]) => topic);
    await this.#subscriptions.resubscribe(subscriber, held).catch((error: unknown) => subscriber.connection.destroy(String(error)));
  }

  async unsubscribe(name: string): Promise<void> {
    const held = this.#subscriptions.delete(name);
    if (held === undefined) return;
    // Where the connection breaks the subscription has ended with it.
    await this.#subscriber?.unsubscribe(held).catch(() => undefined);
  }

  async close(): Promise<void> {
    for (let looks = 0; looks < LAST_LOOKS && this.#commands?.busy === true && this.#commands.alive; looks += 1) await setTimeout(LAST_LOOK_MS);
    const closed = this.#reconnecting.close();
    this.#destroy();
    await closed;
    // What the last attempt had just made.
    this.#destroy();
    this.#subscriptions.clear();
  }

  #destroy(): void {
    this.#commands?.destroy('closed');
    this.#subscriber?.connection.destroy('closed');
    for (const other of this.#others) other.destroy('closed');
    this.#commands = undefined;
    this.#subscriber = undefined;
  }

  async #hold(reached: () => void, signal: AbortSignal): Promise<never> {
    try {
      const over = await this.#establish();
      reached();
      return await this.#watch(AbortSignal.any([over, signal]));
    } catch (error) {
      if (this.#subscriber?.connection.alive === false) this.#subscriber = undefined;
      if (this.#commands?.alive === false) this.#commands = undefined;
      if (replyCode(error) === 'MOVED') this.#settings.moved();
      throw error;
    }
  }

  /** Makes what is missing of the two connections, brings the topics back, and proves them. The signal ends with either connection. */
  async #establish(): Promise<AbortSignal> {
    const node = await this.#settings.locate();
    this.#commands = await this.#commandsTo(node);
    const subscriber = await this.#subscriberTo(node);
    const over = new AbortController();
    for (const { ended } of [this.#commands, subscriber.connection]) void ended.then((reason) => over.abort(reason));
    await this.#prove();
    if (this.#met !== undefined && this.#reconnecting.found(this.#met)) {
      this.#settings.fault('data_lost', `${this.#met.address} is another one than before: its run_id has changed`);
    }
    return over.signal;
  }

  async #commandsTo(node: Node): Promise<Connection> {
    const known = this.#commands;
    if (known !== undefined && isTo(known, node)) return known;
    this.#commands = undefined;
    known?.destroy('replaced');
    const commands = await this.#open(node);
    try {
      const id = await within(commands, 'no answer to the first commands', this.#greet(commands));
      commands.runId = id;
      this.#met = { address: addressOf(node), id };
      this.#cause = undefined;
      return commands;
    } catch (error) {
      commands.destroy('not usable');
      throw error;
    }
  }

  async #greet(commands: Connection): Promise<string | undefined> {
    if (this.#settings.writeProbe !== undefined) await commands.run('del', this.#settings.writeProbe);
    return this.#settings.greet(commands);
  }

  async #subscriberTo(node: Node): Promise<Subscriber> {
    const known = this.#subscriber;
    if (known !== undefined && isTo(known.connection, node)) return known;
    known?.connection.destroy('replaced');
    const connection = await this.#open(node);
    const subscriber = new Subscriber(connection, this.#settings.sharded);
    connection.onMoved(() => this.#settings.moved());
    // Topics are let go of, and taken over, meanwhile.
    this.#subscriber = subscriber;
    try {
      await subscriber.listen(this.#settings.probeChannel, { message: (payload) => this.#onProbe(payload) });
      await this.#subscriptions.restore(subscriber);
      return subscriber;
    } catch (error) {
      connection.destroy((error as Error).message);
      throw error;
    }
  }

  async #open(node: Node): Promise<Connection> {
    const connection = await Connection.open(node, this.#settings.access, this.#reconnecting.signal);
    if (!this.#reconnecting.signal.aborted) return connection;
    connection.destroy('closed');
    throw new LayerError('LAYER_CLOSED', 'the layer has been closed');
  }

  /** Ends the connection that failed, and throws, unless a message of our own came through both. */
  async #prove(): Promise<Subscriber> {
    const commands = this.#commands;
    const subscriber = this.#subscriber;
    if (commands === undefined || subscriber === undefined) throw new LayerError('LAYER_AWAY', 'Redis left');
    const { promise, resolve } = withResolvers<void>();
    this.#probe += 1;
    this.#awaited = { id: String(this.#probe), resolve };
    try {
      const { writeProbe, probeChannel } = this.#settings;
      const written = writeProbe === undefined ? undefined : commands.run('del', writeProbe);
      await within(commands, 'no answer', Promise.all([written, commands.run('publish', probeChannel, this.#awaited.id)]));
    } catch (error) {
      this.#giveUp(commands, error as Error);
      throw error;
    }
    await within(subscriber.connection, 'our own message did not arrive through the subscriber connection', promise);
    return subscriber;
  }

  #onProbe(payload: Buffer): void {
    if (this.#awaited?.id === payload.toString('latin1')) this.#awaited.resolve();
  }

  async #watch(over: AbortSignal): Promise<never> {
    for (;;) {
      await setTimeout(BEAT_MS, undefined, { signal: over }).catch(() => undefined);
      if (over.aborted) throw this.#cause ?? new LayerError('LAYER_AWAY', String(over.reason));
      const now = await this.#settings.relocate();
      const at = this.#commands?.node;
      if (now !== undefined && at !== undefined && addressOf(now) !== addressOf(at)) {
        const error = new LayerError('LAYER_AWAY', `${addressOf(now)} has become the primary`, { fault: 'moved' });
        if (this.#commands !== undefined) this.#giveUp(this.#commands, error);
        throw error;
      }
      const subscriber = await this.#prove();
      if (this.#commands !== undefined) this.#settings.proved(this.#commands);
      await this.#subscriptions.retry(subscriber);
    }
  }

  /** The server does not answer, or is no longer the one that takes writes: nothing that it says is believed any more. */
  #giveUp(commands: Connection, error: Error): void {
    const reason = error.message;
    commands.destroy(reason);
    for (const other of this.#others) other.destroy(reason);
    if (this.#commands !== commands) return;
    this.#cause = error;
    this.#commands = undefined;
    this.#subscriber?.connection.destroy(reason);
    this.#subscriber = undefined;
  }
}

function absenceOf(error: unknown): Absence {
  const failure = layerError(error, false);
  return { reason: failure.message, fault: faultOf(failure) };
}

function isTo(connection: Connection, node: Node): boolean {
  return connection.alive && addressOf(connection.node) === addressOf(node);
}
