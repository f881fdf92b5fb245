import type { RecordStore, StoredRecord } from '../driver/records.ts';

interface UnexpiredRecord {
  readonly payload: Uint8Array;
  readonly endsAt: number;
}

/** The records of a bus. */
export class MemoryRecords implements RecordStore {
  readonly #sets = new Map<string, Map<string, UnexpiredRecord>>();

  async keep(set: string, key: string, payload: Uint8Array, lifeMs: number): Promise<void> {
    this.#sets.set(set, this.#current(set).set(key, { payload, endsAt: performance.now() + lifeMs }));
  }

  async all(set: string): Promise<readonly StoredRecord[]> {
    return [...this.#current(set)].map(([key, { payload }]) => ({ key, payload }));
  }

  clear(): void {
    this.#sets.clear();
  }

  /** Those of a set that are not over. */
  #current(set: string): Map<string, UnexpiredRecord> {
    const now = performance.now();
    return new Map([...(this.#sets.get(set) ?? [])].filter(([, { endsAt }]) => endsAt > now));
  }
}
