import { compactVerify } from 'jose';
import type { JwtSettings } from '../config/auth.ts';
import { readClaims, type TokenFault } from './claims.ts';
import type { Grant } from './grant.ts';
import { readEncodedObject } from './json.ts';
import type { Key, KeyHint, Keys } from './keys.ts';

/** Characters of a token: what is longer is not looked into. */
const MAX_LENGTH = 4096;
/** A signed one in its compact form (RFC 7515 section 7.1); an encrypted one has five parts. */
const FORM = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+$/;

export interface JwtSources {
  readonly settings: JwtSettings;
  readonly keys: Keys;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Checks tokens (RFC 7519, with RFC 8725). Which algorithms and keys there are the configuration says, and nothing that stands in a token; what a token says is looked at when
 * its signature is known to be good.
 */
export class JwtChecker {
  readonly #sources: JwtSources;

  constructor(sources: JwtSources) {
    this.#sources = sources;
  }

  /** `away`: nobody can tell just now. */
  async check(token: string): Promise<Grant | TokenFault | 'away'> {
    const { settings, keys, now } = this.#sources;
    if (token.length > MAX_LENGTH) return 'too_long';
    const [, head = '', claims = ''] = FORM.exec(token) ?? [];
    const hint = this.#hintOf(head);
    if (typeof hint === 'string') return hint;
    const found = await keys.find(hint);
    if (typeof found === 'string') return found;
    if (!(await isSigned(token, found, hint.alg))) return 'signature';
    const said = readEncodedObject(claims);
    return said === undefined ? 'malformed' : readClaims(said, settings, now());
  }

  async close(): Promise<void> {
    await this.#sources.keys.close();
  }

  /** What it must be understood for (`crit`) is nothing that is understood here. */
  #hintOf(head: string): KeyHint | TokenFault {
    const members = readEncodedObject(head);
    if (members === undefined || Object.hasOwn(members, 'crit')) return 'malformed';
    const { alg, kid } = members;
    if (typeof alg !== 'string' || !(this.#sources.settings.algorithms as readonly string[]).includes(alg)) return 'algorithm';
    if (kid === undefined) return { alg };
    return typeof kid === 'string' ? { alg, kid } : 'malformed';
  }
}

/** Whether one of the keys has signed it, with that algorithm. */
async function isSigned(token: string, keys: readonly Key[], algorithm: string): Promise<boolean> {
  for (const key of keys) {
    try {
      await compactVerify(token, key, { algorithms: [algorithm] });
      return true;
    } catch {
      // Not this one: it is of another kind, or has not signed it.
    }
  }
  return false;
}
