import type { LinkEnd } from '../core/policy.ts';
import type { Target } from './transport.ts';

const JSON_TYPE = 'application/json';

/** One request to the path of the bus: a POST where there is a body, of JSON. Rejects where the gateway cannot be reached. */
export function ask({ url, token, credentials }: Target, signal: AbortSignal, body?: string, query = '', accept = JSON_TYPE): Promise<Response> {
  const address = new URL(url);
  if (query) address.search += (address.search && '&') + query;
  return fetch(address, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { accept, ...(token && { authorization: `Bearer ${token}` }), ...(body && { 'content-type': JSON_TYPE }) },
    credentials,
    signal,
    cache: 'no-store',
    ...(body && { body }),
  });
}

/** What an answer says of why it is a refusal. */
export async function endOf(response: Response): Promise<LinkEnd> {
  const { status, headers } = response;
  const wait = headers.get('retry-after');
  const answer = (await response.json().catch(() => undefined)) as { readonly error?: string } | undefined;
  return { code: status, error: answer?.error, retryAfter: wait ? millisecondsOf(wait) : undefined };
}

/** Finds out by a plain request what a browser does not say of a refused WebSocket. Nothing where the gateway cannot be reached. */
export function probe(target: Target, signal: AbortSignal): Promise<LinkEnd> {
  return ask(target, signal).then(endOf, () => ({}));
}

/** Of seconds, or of a date. */
function millisecondsOf(retryAfter: string): number {
  return Math.max(0, Number(retryAfter) * 1000 || Date.parse(retryAfter) - Date.now() || 0);
}
