import { createHash, timingSafeEqual } from 'node:crypto';

/** A query that has such a member holds a key, whoever's it is. */
const NAMES_OF_KEYS: ReadonlySet<string> = new Set(['key', 'ops_key', 'api_key', 'apikey', 'token', 'access_token', 'authorization', 'bearer']);
const BEARER = /^Bearer +([\x21-\x7e]+) *$/i;

/** The key of the operator's API. */
export class OpsKey {
  readonly #digest: Buffer;

  constructor(key: string) {
    this.#digest = digestOf(key);
  }

  /** Whether a request's `Authorization` is this key; in the same time whatever is wrong with it. */
  isIn(authorization: string | undefined): boolean {
    return this.#is(BEARER.exec(authorization ?? '')?.[1] ?? '');
  }

  /** Whether a query holds a key: this one under any name, or any under the name of one. It would stand in logs and histories. */
  isInQuery(query: URLSearchParams): boolean {
    for (const [name, value] of query) if (NAMES_OF_KEYS.has(name.toLowerCase()) || this.#is(value)) return true;
    return false;
  }

  #is(said: string): boolean {
    return timingSafeEqual(digestOf(said), this.#digest);
  }
}

/** Of one length, whatever was said. */
function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
