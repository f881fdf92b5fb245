import type { OperatorCall } from './asked.ts';

const HEADERS_TIMEOUT_MS = 15_000;
const MOST = '1000';

/** The ops port refused, or is no ops port. */
class ApiError extends Error {}

/** One ops port, asked with a key. What it calls rejects with the reason in a line. */
export class OpsClient {
  readonly #url: URL;
  readonly #key: string;

  constructor({ url, key }: Pick<OperatorCall<string>, 'url' | 'key'>) {
    this.#url = url;
    this.#key = key;
  }

  async ask<T>(method: string, path: string, query: Readonly<Record<string, string | undefined>> = {}): Promise<T> {
    const response = await this.#fetch(method, path, query);
    return (await response.json()) as T;
  }

  /** Each page of a list. */
  async *pages<T extends { readonly cursor?: string }>(path: string, query: Readonly<Record<string, string | undefined>>): AsyncGenerator<T> {
    let cursor: string | undefined;
    do {
      const page: T = await this.ask('GET', path, { limit: MOST, ...query, ...(cursor === undefined ? {} : { cursor }) });
      yield page;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** An answer that goes on, as text. */
  async stream(path: string, query: Readonly<Record<string, string | undefined>>, signal: AbortSignal): Promise<AsyncIterable<string>> {
    const response = await this.#fetch('GET', path, query, signal);
    if (response.body === null) throw new ApiError('the ops port answered nothing');
    return response.body.pipeThrough(new TextDecoderStream());
  }

  async #fetch(method: string, path: string, query: Readonly<Record<string, string | undefined>>, signal?: AbortSignal): Promise<Response> {
    const url = new URL(this.#url);
    url.pathname = `${url.pathname.replace(/\/$/, '')}${path}`;
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
    const late = AbortSignal.timeout(HEADERS_TIMEOUT_MS);
    const response = await fetch(url, { method, headers: { Authorization: `Bearer ${this.#key}` }, redirect: 'error', signal: signal ?? late }).catch(
      (error: unknown) => {
        if (signal?.aborted === true) throw error;
        throw new ApiError(`${this.#url.origin}: ${reasonOfFetch(error)}`);
      },
    );
    if (!response.ok) throw new ApiError(`${this.#url.origin}: ${await refusalOf(response)}`);
    return response;
  }
}

function reasonOfFetch(error: unknown): string {
  const { cause } = error as { readonly cause?: unknown };
  if (cause instanceof AggregateError && cause.errors.length > 0) return String((cause.errors[0] as Error).message);
  return cause instanceof Error ? cause.message : (error as Error).message;
}

async function refusalOf(response: Response): Promise<string> {
  const body = (await response.json().catch(() => undefined)) as { readonly error?: unknown; readonly message?: unknown } | undefined;
  if (typeof body?.error !== 'string') return `${response.status} ${response.statusText}: is this an ops port?`;
  if (response.status === 404 && body.error === 'no_route') return '404 no_route: this ops port has no API: is ops.key set?';
  return `${response.status} ${body.error}: ${String(body.message)}`;
}
