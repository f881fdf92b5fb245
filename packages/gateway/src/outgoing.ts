import { Buffer } from 'node:buffer';
import { errors, Pool } from 'undici';

/** A connection that the server says nothing of is kept this long without a request: shorter than any server's own, or a request would meet a closing one. */
const KEEP_ALIVE_MS = 1000;
const CONNECT_TIMEOUT_MS = 10_000;

type Headers = Readonly<Record<string, string | string[]>>;

export interface OutgoingRequest {
  readonly method: 'GET' | 'POST';
  readonly headers: Headers;
  readonly body?: string;
}

/** What came of one attempt: an answer, or none. */
export type Answered =
  | { readonly status: number; readonly headers: readonly (readonly [name: string, value: string])[]; readonly body: Buffer; readonly failure?: never }
  | { readonly failure: 'unreachable' | 'timeout' | 'too_large'; readonly error: unknown };

/** Asks one URL, as often at a time as it has connections, and follows no redirect. */
export class Outgoing {
  readonly #pool: Pool;
  readonly #path: string;

  /** `maxAnswer` in bytes. */
  constructor(url: string, connections: number, maxAnswer: number) {
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
      maxResponseSize: maxAnswer,
    });
  }

  /** Never rejects. The time that it waits for a connection counts. `signal` ends it early, as `unreachable`. */
  async ask({ method, headers, body }: OutgoingRequest, timeoutMs: number, signal: AbortSignal): Promise<Answered> {
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const answer = await this.#pool.request({
        method,
        path: this.#path,
        headers,
        ...(body !== undefined && { body }),
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
