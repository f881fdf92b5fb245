import { createHash } from 'node:crypto';
import type { SubrequestSettings } from '../config/auth.ts';
import type { IdentityQuestion } from '../identity.ts';
import type { Answered } from '../outgoing.ts';
import { type Grant, readGranted } from './grant.ts';
import { isObject, readObject } from './json.ts';

/** Answers that are kept for a while, at the most. */
const MAX_KEPT = 10_000;

/** `away`: it does not answer, or with what is none. */
export type Decision = Grant | 'unauthorized' | 'not_allowed' | 'away';

export interface SubrequestSources {
  readonly settings: SubrequestSettings;
  readonly ask: (headers: Readonly<Record<string, string[]>>, timeoutMs: number) => Promise<Answered>;
  /** Its answer is none: why, in a few fixed words. */
  readonly failed: (reason: string) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The application decides who a client is, by what the client sent: one GET a question, and the same answer to the same question for a while. */
export class Subrequest {
  readonly #sources: SubrequestSources;
  readonly #kept = new Map<string, KeptGrant>();

  constructor(sources: SubrequestSources) {
    this.#sources = sources;
  }

  /** `isGood`: whether an answer that was given before still holds. */
  async decide(question: IdentityQuestion, isGood: (grant: Grant) => boolean): Promise<Decision> {
    const { settings, now } = this.#sources;
    if (settings.cache === 0) return await this.ask(question);
    const key = keyOf(question);
    const kept = this.#kept.get(key);
    if (kept !== undefined && now() < kept.until && isGood(kept.grant)) return kept.grant;
    this.#kept.delete(key);
    const decision = await this.ask(question);
    if (typeof decision !== 'string') this.#keep(key, decision);
    return decision;
  }

  /** Asks, whatever was answered before. */
  async ask(question: IdentityQuestion): Promise<Decision> {
    const { settings, ask, failed, now } = this.#sources;
    const answer = await ask(headersOf(question), settings.timeout);
    if (answer.failure !== undefined) return this.#fail(answer.failure);
    if (answer.status === 401) return 'unauthorized';
    if (answer.status === 403) return 'not_allowed';
    if (answer.status !== 200) return this.#fail('another status than 200, 401 and 403');
    const grant = readGrant(answer.body, now());
    if (grant === undefined) failed('a body that is no such JSON');
    return grant ?? 'away';
  }

  #fail(reason: string): 'away' {
    this.#sources.failed(reason);
    return 'away';
  }

  #keep(key: string, grant: Grant): void {
    if (this.#kept.size >= MAX_KEPT) {
      const [oldest = ''] = this.#kept.keys();
      this.#kept.delete(oldest);
    }
    this.#kept.set(key, { grant, until: Math.min(this.#sources.now() + this.#sources.settings.cache, grant.expiresAt ?? Infinity) });
  }
}

interface KeptGrant {
  readonly grant: Grant;
  readonly until: number;
}

/** No two questions share one, and nothing of what a client sent is kept in it. */
function keyOf(question: IdentityQuestion): string {
  return createHash('sha256')
    .update(JSON.stringify([question.uri, question.address, question.headers]))
    .digest('base64');
}

function headersOf({ uri, address, headers }: IdentityQuestion): Record<string, string[]> {
  const all: Record<string, string[]> = { 'x-original-uri': [uri], 'x-forwarded-for': [address] };
  for (const [name, value] of headers) (all[name] ??= []).push(value);
  return all;
}

/** Undefined for what is no answer. A user may be a number, as the keys of many databases are. */
function readGrant(body: Uint8Array, now: number): Grant | undefined {
  const members = readObject(body);
  if (members === undefined || !isObject(members)) return undefined;
  const { user, expires } = members;
  const granted = readGranted(members);
  if (granted === undefined || !isUser(user) || !isSpan(expires)) return undefined;
  return {
    user: user === null || user === undefined ? undefined : String(user),
    ...granted,
    expiresAt: expires === null || expires === undefined ? undefined : now + expires * 1000,
    issuedAt: now,
    id: undefined,
  };
}

function isUser(value: unknown): value is string | number | null | undefined {
  return value === undefined || value === null || (typeof value === 'string' && value !== '') || Number.isSafeInteger(value);
}

/** Seconds from now. */
function isSpan(value: unknown): value is number | null | undefined {
  return value === undefined || value === null || (typeof value === 'number' && value > 0);
}
