import type { Broker } from '../broker.ts';
import type { Runner } from '../scripts.ts';
import type { Shard } from '../shard.ts';
import type { Held } from '../subscriber.ts';
import { hostOf } from './hash.ts';
import { withResolvers } from '@busgate/layer/driver';

/** Names whose turn is remembered. */
const MAX_TURNS = 1000;

/**
 * The hosts of a Django site, in its order: most have one. Each name has its host; what any host may have goes to each in turn. It is away while one
 * of them is.
 */
export class Ring implements Broker {
  readonly publishCommand = 'publish';
  readonly isOneServer = false;
  readonly hosts: readonly Broker[];
  readonly #turns = new Map<string, number>();
  #change = withResolvers<void>();

  constructor(hosts: readonly Broker[]) {
    this.hosts = hosts;
  }

  get connected(): boolean {
    return this.hosts.every((host) => host.connected);
  }

  get reason(): string | undefined {
    return this.hosts.find((host) => !host.connected)?.reason;
  }

  async open(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.open()));
  }

  /** Where channels_redis looks for that name. */
  host(name: string): Broker {
    return this.hosts[hostOf(name, this.hosts.length)] as Broker;
  }

  /** The host whose turn it is with that name: readers in Python go from one to the next with each message. */
  next(name: string): Broker {
    if (this.#turns.size >= MAX_TURNS && !this.#turns.has(name)) this.#turns.clear();
    const turn = (this.#turns.get(name) ?? 0) % this.hosts.length;
    this.#turns.set(name, turn + 1);
    return this.hosts[turn] as Broker;
  }

  /** Resolves when that host is connected; at the next change at the latest where `signal` is aborted. */
  async settled(host: Broker, signal: AbortSignal): Promise<void> {
    while (!host.connected && !signal.aborted) await this.#change.promise;
  }

  /** The state of a host may have changed. */
  changed(): void {
    this.#change.resolve();
    this.#change = withResolvers<void>();
  }

  on(key: string): Runner {
    return this.host(key).on(key);
  }

  shardOf(key: string): Shard {
    return this.host(key).shardOf(key);
  }

  shards(): readonly Shard[] {
    return this.hosts.flatMap((host) => host.shards());
  }

  subscribe(name: string, held: Held): Promise<void> {
    return this.host(name).subscribe(name, held);
  }

  unsubscribe(name: string): Promise<void> {
    return this.host(name).unsubscribe(name);
  }

  async close(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.close()));
  }
}
