import { setTimeout } from 'node:timers/promises';
import { LayerError, isLayerError, type DriverEvents } from '@busgate/layer/driver';
import type { Broker } from './broker.ts';
import { Connection, type Access, type Argument } from './connection.ts';
import { replyOf } from './errors.ts';
import { within } from './proof.ts';
import type { Runner } from './scripts.ts';
import type { Shard } from './shard.ts';
import { slotOf } from './slots.ts';
import type { Held } from './subscriber.ts';
import { Topology } from './topology.ts';
import { addressOf, type Node } from './url.ts';

/** How often the cluster is asked who has which slots, beside every sign that it changed. */
const ASK_MS = 2000;
/** Redirections that one command may follow, and waits while a slot is on its way. */
const MAX_HOPS = 16;
const HOP_WAIT_MS = 50;

export interface ClusterSettings extends Pick<DriverEvents, 'fault'> {
  readonly seeds: readonly Node[];
  readonly access: Access;
  shard(node: Node, sharded: boolean, moved: () => void, changed: () => void): Shard;
  /** The cluster is too old for sharded pub/sub. */
  unsharded(): void;
  changed(): void;
}

/** Redis Cluster: one shard for each primary; rooms and queues live where their slot is, and follow it. */
export class ClusterBroker implements Broker {
  readonly isOneServer = false;
  readonly #settings: ClusterSettings;
  readonly #shards = new Map<string, Shard>();
  /** Primaries that do not let us in, and in which words. */
  readonly #refused = new Map<string, string>();
  readonly #topics = new Map<string, { readonly held: Held; shard: Shard }>();
  /** Those that may be reached, but do not hold yet what is theirs; with what they wait for, where that is known already. */
  readonly #arriving = new Map<Shard, Promise<void> | undefined>();
  readonly #closing = new AbortController();
  #topology: Topology | undefined;
  #reason: string | undefined = 'not reached yet';
  #refreshing: Promise<void> | undefined;
  /** The fault that was told last, undefined where it was that there is none. */
  #told: string | undefined = 'not told yet';
  #sharded = true;
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: ClusterSettings) {
    this.#settings = settings;
  }

  get connected(): boolean {
    return this.#fault() === undefined;
  }

  get reason(): string | undefined {
    return this.#fault();
  }

  get publishCommand(): 'publish' | 'spublish' {
    return this.#sharded ? 'spublish' : 'publish';
  }

  async open(): Promise<void> {
    await this.#refresh();
    this.#timer = setInterval(() => void this.#refresh().catch(() => undefined), ASK_MS).unref();
  }

  on(key: string, calls = 1): Runner {
    return { run: (name, ...args) => this.#run(key, calls, name, args) };
  }

  shardOf(key: string): Shard {
    const shard = this.#ownerOf(key);
    if (shard === undefined) throw new LayerError('LAYER_AWAY', `Redis Cluster is away: ${this.#fault() ?? 'the slot has no primary'}`);
    return shard;
  }

  shards(): readonly Shard[] {
    return [...this.#shards.values()];
  }

  async subscribe(name: string, held: Held): Promise<void> {
    for (let hop = 0; ; hop += 1) {
      const shard = this.shardOf(name);
      try {
        await shard.subscribe(name, held);
        this.#topics.set(name, { held, shard });
        if (this.#ownerOf(name) !== shard) this.#rehome();
        return;
      } catch (error) {
        if (hop >= MAX_HOPS || !(await this.#canRetry(error))) throw error;
      }
    }
  }

  async unsubscribe(name: string): Promise<void> {
    const topic = this.#topics.get(name);
    this.#topics.delete(name);
    await topic?.shard.unsubscribe(name);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#timer);
    await this.#refreshing?.catch(() => undefined);
    await Promise.all(this.shards().map((shard) => shard.close()));
    this.#shards.clear();
  }

  /** A command that was redirected was not executed: it may be sent anew. */
  async #run(key: string, calls: number, name: string, args: readonly Argument[]): Promise<unknown> {
    for (let hop = 0; ; hop += 1) {
      try {
        return await this.shardOf(key).runFor(calls, name, args);
      } catch (error) {
        const asked = askedNode(error);
        if (asked !== undefined) return await this.#ask(asked, calls, name, args);
        if (hop >= MAX_HOPS || !(await this.#canRetry(error))) throw error;
      }
    }
  }

  /** The slot is on its way: this key has arrived already. */
  async #ask(address: string, calls: number, name: string, args: readonly Argument[]): Promise<unknown> {
    const shard = this.#shards.get(address);
    if (shard === undefined) throw new LayerError('LAYER_AWAY', `the slot is on its way to ${address}, which is not reached yet; nothing was done`);
    const [, answer] = await Promise.all([shard.run('asking'), shard.runFor(calls, name, args)]);
    return answer;
  }

  async #canRetry(error: unknown): Promise<boolean> {
    const reply = replyOf(error) ?? '';
    if (reply.startsWith('TRYAGAIN')) {
      await setTimeout(HOP_WAIT_MS);
      return true;
    }
    if (!reply.startsWith('MOVED')) return false;
    await this.#refresh().catch(() => undefined);
    return true;
  }

  #refresh(): Promise<void> {
    this.#refreshing ??= this.#readTopology().finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #readTopology(): Promise<void> {
    let topology: Topology;
    try {
      topology = await this.#askAny();
    } catch (error) {
      if (isLayerError(error, 'REFUSED') && this.#topology === undefined) throw error;
      this.#reason = (error as Error).message;
      this.#tell();
      if (!this.#closing.signal.aborted) this.#settings.fault((error as LayerError).fault ?? 'unreachable', this.#reason);
      return;
    }
    if (!this.#closing.signal.aborted) await this.#follow(topology);
  }

  async #follow(topology: Topology): Promise<void> {
    const before = this.#topology;
    this.#reason = topology.complete ? undefined : 'some slots have no primary';
    this.#topology = topology;
    const refusal = await this.#adopt(topology);
    if (before === undefined && refusal !== undefined) throw refusal;
    this.#rehome();
    this.#tell();
    const moved = before === undefined ? undefined : topology.movedSince(before);
    if (moved !== undefined) this.#settings.fault('moved', moved);
    if (this.#reason !== undefined) this.#settings.fault('unreachable', this.#reason);
  }

  async #askAny(): Promise<Topology> {
    for (const shard of this.#shards.values()) {
      if (!shard.connected || shard.node === undefined) continue;
      const topology = await Topology.ask(shard, shard.node.host).catch(() => undefined);
      if (topology !== undefined) return topology;
    }
    const faults: string[] = [];
    for (const node of this.#settings.seeds) {
      let connection: Connection | undefined;
      try {
        connection = await Connection.open(node, this.#settings.access, this.#closing.signal);
        await within(connection, 'no answer of a node', this.#checkSharded(connection));
        return await within(connection, 'no answer of a node', Topology.ask(connection, node.host));
      } catch (error) {
        if (isLayerError(error, 'REFUSED')) throw error;
        faults.push((error as Error).message);
      } finally {
        connection?.destroy('asked');
      }
    }
    throw new LayerError('LAYER_AWAY', `no node of the cluster answers: ${faults.join('; ')}`);
  }

  async #checkSharded(connection: Connection): Promise<void> {
    const [known] = (await connection.run('command', 'INFO', 'spublish')) as unknown[];
    if (Array.isArray(known) || !this.#sharded) return;
    this.#sharded = false;
    this.#settings.unsharded();
  }

  /** Opens what is new and closes what is no primary any more. Answers why one was refused: it is tried again with the next topology. */
  async #adopt(topology: Topology): Promise<unknown> {
    const opened: Promise<unknown>[] = [];
    for (const [address, node] of topology.nodes) if (!this.#shards.has(address)) opened.push(this.#openShard(address, node));
    for (const [address, shard] of this.#shards) {
      if (topology.nodes.has(address)) continue;
      this.#shards.delete(address);
      this.#arriving.delete(shard);
      void shard.close();
    }
    for (const address of this.#refused.keys()) if (!topology.nodes.has(address)) this.#refused.delete(address);
    return (await Promise.all(opened)).find((refusal) => refusal !== undefined);
  }

  async #openShard(address: string, node: Node): Promise<unknown> {
    const moved = (): void => void this.#refresh().catch(() => undefined);
    const changed = (): void => {
      if (!this.#arriving.has(shard)) this.#tell();
    };
    const shard: Shard = this.#settings.shard(node, this.#sharded, moved, changed);
    this.#shards.set(address, shard);
    this.#arriving.set(shard, undefined);
    try {
      await shard.open();
      this.#refused.delete(address);
      return undefined;
    } catch (error) {
      this.#shards.delete(address);
      this.#arriving.delete(shard);
      this.#refused.set(address, (error as Error).message);
      this.#settings.fault('refused', (error as Error).message);
      return error;
    }
  }

  /**
   * Each topic goes where its slot is now, and is told a gap: what was published on the way may have been missed. One whose slot is where we are not let in
   * goes there when we are.
   */
  #rehome(): void {
    const arrivals = new Map<Shard, [string, Held][]>();
    for (const [name, topic] of this.#topics) {
      const shard = this.#ownerOf(name);
      if (shard === undefined || shard === topic.shard) continue;
      void topic.shard.unsubscribe(name);
      topic.shard = shard;
      const group = arrivals.get(shard) ?? [];
      arrivals.set(shard, group);
      group.push([name, topic.held]);
    }
    for (const [shard, adoption] of this.#arriving) if (adoption === undefined && !arrivals.has(shard)) this.#arriving.delete(shard);
    for (const [shard, topics] of arrivals) this.#adoptInto(shard, topics);
  }

  #adoptInto(shard: Shard, topics: readonly [string, Held][]): void {
    const adoption = shard.adopt(topics).then(() => {
      if (this.#arriving.get(shard) !== adoption) return;
      this.#arriving.delete(shard);
      this.#tell();
    });
    if (this.#arriving.has(shard)) this.#arriving.set(shard, adoption);
  }

  /** The server that has a key, or a topic, where there is one that lets us in. */
  #ownerOf(key: string): Shard | undefined {
    const address = this.#topology?.ownerOf(slotOf(key));
    return address === undefined ? undefined : this.#shards.get(address);
  }

  #fault(): string | undefined {
    if (this.#reason !== undefined || this.#topology === undefined) return this.#reason ?? 'not reached yet';
    for (const address of this.#topology.nodes.keys()) {
      const shard = this.#shards.get(address);
      if (shard !== undefined && this.#arriving.has(shard)) return `${address}: it is not subscribed yet`;
      if (shard?.connected !== true) return `${address}: ${shard?.reason ?? this.#refused.get(address) ?? 'not reached yet'}`;
    }
    return undefined;
  }

  /** Told once a change; one shard more or less that is away changes nothing for who asks. */
  #tell(): void {
    if (this.#closing.signal.aborted) return;
    const fault = this.#fault();
    if (fault !== undefined) this.#refresh().catch(() => undefined);
    if (fault === this.#told) return;
    this.#told = fault;
    this.#settings.changed();
  }
}

/** Where an `ASK` redirection leads. */
function askedNode(error: unknown): string | undefined {
  const [, host, port] = /^ASK \d+ (.*):(\d+)$/.exec(replyOf(error) ?? '') ?? [];
  return host === undefined ? undefined : addressOf({ host, port: Number(port) });
}
