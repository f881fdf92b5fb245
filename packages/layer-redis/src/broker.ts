import type { Runner } from './scripts.ts';
import type { Shard } from './shard.ts';
import type { Held } from './subscriber.ts';

/** Redis, however it is run: where each key and each topic lives. */
export interface Broker {
  readonly connected: boolean;
  /** Why it is away. */
  readonly reason: string | undefined;
  /** `SPUBLISH` on a cluster that has it. */
  readonly publishCommand: 'publish' | 'spublish';
  /** Whether one server has all keys. */
  readonly isOneServer: boolean;
  /** Resolves after the first attempt, whatever its outcome, save refused credentials. */
  open(): Promise<void>;
  /** Runs commands where `key` lives, so many of the layer's calls in each. */
  on(key: string, calls?: number): Runner;
  /** The server where `key` lives just now. */
  shardOf(key: string): Shard;
  /** All servers that take writes. */
  shards(): readonly Shard[];
  subscribe(name: string, held: Held): Promise<void>;
  unsubscribe(name: string): Promise<void>;
  close(): Promise<void>;
}

/** One server, or the primary that Sentinel names. */
export class SingleBroker implements Broker {
  readonly publishCommand = 'publish';
  readonly isOneServer = true;
  readonly #shard: Shard;

  readonly #closed: () => void;

  constructor(shard: Shard, closed: () => void) {
    this.#shard = shard;
    this.#closed = closed;
  }

  get connected(): boolean {
    return this.#shard.connected;
  }

  get reason(): string | undefined {
    return this.#shard.reason;
  }

  open(): Promise<void> {
    return this.#shard.open();
  }

  on(_key: string, calls = 1): Runner {
    return calls === 1 ? this.#shard : { run: (name, ...args) => this.#shard.runFor(calls, name, args) };
  }

  shardOf(): Shard {
    return this.#shard;
  }

  shards(): readonly Shard[] {
    return [this.#shard];
  }

  subscribe(name: string, held: Held): Promise<void> {
    return this.#shard.subscribe(name, held);
  }

  unsubscribe(name: string): Promise<void> {
    return this.#shard.unsubscribe(name);
  }

  async close(): Promise<void> {
    await this.#shard.close();
    this.#closed();
  }
}
