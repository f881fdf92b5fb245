import { headersOf } from './probe.ts';
import type { Target } from './transport.ts';

/** One request to the path of the bus: a POST where there is a body, of JSON. Rejects where the gateway cannot be reached. */
export function ask({ url, token, credentials }: Target, signal: AbortSignal, body?: string, query = '', accept?: string): Promise<Response> {
  const address = new URL(url);
  if (query) address.search += (address.search && '&') + query;
  const headers = headersOf(token, accept);
  if (body === undefined) return fetch(address, { headers, credentials, signal, cache: 'no-store' });
  return fetch(address, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body, credentials, signal, cache: 'no-store' });
}
