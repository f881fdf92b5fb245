import type { LinkEnd } from '../core/policy.ts';
import type { Target } from './transport.ts';

/**
 * Finds out by a request what a browser does not say of a refused WebSocket. Nothing where the gateway cannot be reached. It is a poll of no rooms, which is answered 400 where all is
 * well: the 426 to a request without a transport may have a header that makes it unreadable over HTTP/2.
 */
export function probe({ url, token, credentials }: Target, signal: AbortSignal): Promise<LinkEnd> {
  const address = new URL(url);
  address.searchParams.append('poll', '0');
  return fetch(address, { headers: headersOf(token), credentials, signal, cache: 'no-store' }).then(endOf, () => ({}));
}

export function headersOf(token: string | undefined, accept = 'application/json'): Record<string, string> {
  return { accept, ...(token && { authorization: `Bearer ${token}` }) };
}

/** What an answer says of why it is a refusal. */
export async function endOf(response: Response): Promise<LinkEnd> {
  const { status, headers } = response;
  const wait = headers.get('retry-after');
  const answer = (await response.json().catch(() => undefined)) as { readonly error?: string } | undefined;
  return { code: status, error: answer?.error, retryAfter: wait ? millisecondsOf(wait) : undefined };
}

/** Of seconds, or of a date. */
function millisecondsOf(retryAfter: string): number {
  return Math.max(0, Number(retryAfter) * 1000 || Date.parse(retryAfter) - Date.now() || 0);
}
