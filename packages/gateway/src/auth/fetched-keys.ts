import type { JwtSettings } from '../config/auth.ts';
import type { Log } from '../log.ts';
import { Outgoing } from '../outgoing.ts';
import { KeySet } from './key-set.ts';
import { type Keys, OneKey } from './keys.ts';

/** How long an issuer may take, in milliseconds, and how much it may answer, in bytes. */
const TIMEOUT_MS = 5000;
const MAX_BYTES = 1_048_576;

/** Where the keys are that the configuration names. */
export function keysOf({ jwks, key }: JwtSettings['keys'], log: Pick<Log, 'warn'>): Keys {
  if (key !== undefined) return new OneKey(key);
  const outgoing = new Outgoing(jwks, 1, MAX_BYTES);
  const closing = new AbortController();
  const keys = new KeySet({
    fetch: () => fetchJson(outgoing, closing.signal),
    failed: (error) => log.warn('the keys of the issuer could not be fetched: those that are known stay good', { error: String(error) }),
    now: () => performance.now(),
    after: (ms, step) => {
      const timer = setTimeout(step, ms).unref();
      return () => clearTimeout(timer);
    },
  });
  return {
    find: (hint) => keys.find(hint),
    async close() {
      closing.abort();
      await keys.close();
      await outgoing.close();
    },
  };
}

async function fetchJson(outgoing: Outgoing, signal: AbortSignal): Promise<unknown> {
  const answer = await outgoing.ask({ method: 'GET', headers: { accept: 'application/jwk-set+json, application/json' } }, TIMEOUT_MS, signal);
  if (answer.failure !== undefined) throw new Error(`it is ${answer.failure}`, { cause: answer.error });
  if (answer.status !== 200) throw new Error(`it answered ${answer.status}`);
  return JSON.parse(answer.body.toString()) as unknown;
}
