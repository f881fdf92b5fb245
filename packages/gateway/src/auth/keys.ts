import type { CryptoKey, KeyObject } from 'jose';
import type { JwtKey } from '../config/jwt-key.ts';

export type Key = CryptoKey | KeyObject | Uint8Array;

/** What a token's head says of its key. The algorithm is one of those that are allowed. */
export interface KeyHint {
  readonly alg: string;
  readonly kid?: string;
}

/** Where the keys come from that signatures are checked with: never from a token. */
export interface Keys {
  /** Those that it may be; `away`: the issuer cannot be asked just now. */
  find(hint: KeyHint): Promise<readonly Key[] | 'unknown_key' | 'away'>;
  /** Nothing is asked any more. */
  close(): Promise<void>;
}

/** The one key of the configuration, whatever a token calls its own. */
export class OneKey implements Keys {
  readonly #keys: readonly Key[];

  constructor({ secret, publicKey }: JwtKey) {
    this.#keys = [publicKey ?? new TextEncoder().encode(secret)];
  }

  async find(): Promise<readonly Key[]> {
    return this.#keys;
  }

  async close(): Promise<void> {}
}
