/** A record as it is stored. */
export interface StoredRecord {
  readonly key: string;
  readonly payload: Uint8Array;
}

/** Small messages that a broker keeps for all processes, in sets, each until its time. Times are by the broker's clock. */
export interface RecordStore {
  /** Keeps a record for so long from now, in milliseconds, in the place of the one of the same key. */
  keep(set: string, key: string, payload: Uint8Array, lifeMs: number): Promise<void>;
  /** All of a set that are not over, in any order. Whatever was kept before this call is among them. */
  all(set: string): Promise<readonly StoredRecord[]>;
}
