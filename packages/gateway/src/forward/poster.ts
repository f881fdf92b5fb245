import { Buffer } from 'node:buffer';
import { errors, Pool } from 'undici';

/** Bytes of an answer. */
const MAX_ANSWER = 1_048_576;
/** A connection that the backend says nothing of is kept this long without a request: shorter than any server's own, or an event would meet a closing one. */
const KEEP_ALIVE_MS = 1000;
const CONNECT_TIMEOUT_MS = 10_000;

/** What came of one attempt: an answer, or none. */
export type Posted =
  | { readonly status: number; readonly headers: readonly (readonly [name: string, value: string])[]; readonly body: Buffer; readonly failure?: never }
  | { readonly failure: 'unreachable' | 'timeout' | 'too_large'; readonly error: unknown };

/** Posts JSON to one URL, as many at a time as it has connections, and follows no redirect. */
export class Poster {
  readonly #pool: Pool;
  readonly #path: string;

  constructor(url: string, connections: number) {
    const { origin, pathname, search } = new URL(url);
    this.#path = `${pathname}${search}`;
    this.#pool = new Pool(origin, {
      connections,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      headersTimeout: 0,
      bodyTimeout: 0,
      maxResponseSize: MAX_ANSWER,
    });
  }

  /** Never rejects. `signal` ends it early, as `unreachable`. */
  async post(body: string, headers: Readonly<Record<string, string>>, timeoutMs: number, signal: AbortSignal): Promise<Posted> {
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const answer = await this.#pool.request({
        method: 'POST',
        path: this.#path,
        headers: { 'content-type': 'application/json', ...headers },
        body,
        signal: AbortSignal.any([timeout, signal]),
      });
      return { status: answer.statusCode, headers: pairsOf(answer.headers), body: Buffer.from(await answer.body.arrayBuffer()) };
    } catch (error) {
      const failure = error instanceof errors.ResponseExceededMaxSizeError ? 'too_large' : timeout.aborted ? 'timeout' : 'unreachable';
      return { failure, error };
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

function pairsOf(headers: Readonly<Record<string, string | string[] | undefined>>): readonly (readonly [string, string])[] {
  return Object.entries(headers).flatMap(([name, value = []]) => (typeof value === 'string' ? [value] : value).map((one) => [name, one] as const));
}
