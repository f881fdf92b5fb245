import { createLocalJWKSet, errors, type JSONWebKeySet } from 'jose';
import type { Key, KeyHint, Keys } from './keys.ts';

/** The set is fetched anew after so long, in milliseconds, whether anybody asks or not. */
const REFRESH_MS = 300_000;
/** Where that fails, and where a token names a key that is not in the set, at the most so often. */
const AGAIN_MS = 5000;
/** Keys that one token may be tried with, where it names none. */
const MAX_TRIED = 8;

type Find = ReturnType<typeof createLocalJWKSet>;

export interface KeySetSources {
  /** The document that the issuer publishes (RFC 7517 section 5), as JSON. Rejects where it cannot be had. */
  readonly fetch: () => Promise<unknown>;
  /** The keys are those of before: told once for as long as it lasts. */
  readonly failed: (error: unknown) => void;
  /** Milliseconds, never going back. */
  readonly now: () => number;
  /** Calls `step` after so many milliseconds, without keeping the process alive; answers what cancels it. */
  readonly after: (ms: number, step: () => void) => () => void;
}

/** Keys that an issuer publishes. They are fetched before they grow old, and those that are known stay good while its server is down. */
export class KeySet implements Keys {
  readonly #sources: KeySetSources;
  #find: Find | undefined;
  #fetching: Promise<boolean> | undefined;
  #askedAt = -Infinity;
  /** How the last attempt ended; undefined before there was one. */
  #isGood: boolean | undefined;
  #cancel: () => void = () => undefined;
  #isClosed = false;

  constructor(sources: KeySetSources) {
    this.#sources = sources;
    void this.#fetch();
  }

  async find(hint: KeyHint): Promise<readonly Key[] | 'unknown_key' | 'away'> {
    const known = await this.#look(hint);
    if (known !== undefined) return known;
    const isFetched = await this.#fetchIfDue();
    const found = await this.#look(hint);
    if (found !== undefined) return found;
    return isFetched ? 'unknown_key' : 'away';
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel();
    await this.#fetching;
  }

  /** Undefined where no key of the set fits. */
  async #look(hint: KeyHint): Promise<readonly Key[] | undefined> {
    try {
      return this.#find && [(await this.#find({ ...hint })) as Key];
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys) return await several(error);
      // It fits none, or the one that it fits is no key that may be used so.
      return undefined;
    }
  }

  /** Whether what is known is what the issuer publishes, as far as it may be asked. */
  async #fetchIfDue(): Promise<boolean> {
    if (this.#fetching === undefined && this.#sources.now() - this.#askedAt < AGAIN_MS) return this.#isGood === true;
    return await this.#fetch();
  }

  /** One at a time. */
  #fetch(): Promise<boolean> {
    this.#fetching ??= this.#fetchNow().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #fetchNow(): Promise<boolean> {
    this.#cancel();
    this.#askedAt = this.#sources.now();
    try {
      this.#find = createLocalJWKSet((await this.#sources.fetch()) as JSONWebKeySet);
      this.#isGood = true;
    } catch (error) {
      if (this.#isGood !== false && !this.#isClosed) this.#sources.failed(error);
      this.#isGood = false;
    }
    // Gateways that were started together do not ask together.
    const ms = this.#isGood ? REFRESH_MS * (0.5 + Math.random() / 2) : AGAIN_MS;
    if (!this.#isClosed) this.#cancel = this.#sources.after(ms, () => void this.#fetch());
    return this.#isGood;
  }
}

async function several(matching: errors.JWKSMultipleMatchingKeys): Promise<readonly Key[]> {
  const keys: Key[] = [];
  for await (const key of matching) if (keys.push(key) === MAX_TRIED) break;
  return keys;
}
