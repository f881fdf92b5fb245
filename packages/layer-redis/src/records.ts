import { Buffer } from 'node:buffer';
import type { RecordStore, StoredRecord } from '@busgate/layer/driver';
import type { Keys } from './keys.ts';
import { SCRIPTS, type Runner } from './scripts.ts';

/** Records by Redis's clock. */
export class RedisRecords implements RecordStore {
  readonly #on: (key: string) => Runner;
  readonly #keys: Keys;

  /** `on` finds where a key is. */
  constructor(on: (key: string) => Runner, keys: Keys) {
    this.#on = on;
    this.#keys = keys;
  }

  async keep(set: string, key: string, payload: Uint8Array, lifeMs: number): Promise<void> {
    const keys = this.#keysOf(set);
    await SCRIPTS.recordKeep.run(this.#on(keys[0]), keys, key, lifeMs, Buffer.from(payload));
  }

  async all(set: string): Promise<readonly StoredRecord[]> {
    const keys = this.#keysOf(set);
    const found = (await SCRIPTS.recordAll.run(this.#on(keys[0]), keys)) as Buffer[];
    return found.flatMap((payload, index) => (index % 2 === 0 ? [] : [{ key: String(found[index - 1]), payload }]));
  }

  #keysOf(set: string): readonly [ends: string, values: string] {
    return [this.#keys.records(set, 'ends'), this.#keys.records(set, 'values')];
  }
}
