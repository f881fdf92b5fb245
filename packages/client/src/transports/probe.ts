import type { LinkEnd } from '../core/policy.ts';
import type { Target } from './transport.ts';

/** Finds out by a plain request what a browser does not say of a refused WebSocket. Nothing where the gateway cannot be reached. */
export function probe({ url, token, credentials }: Target, signal: AbortSignal): Promise<LinkEnd> {
  return fetch(url, { headers: headersOf(token), credentials, signal, cache: 'no-store' }).then(endOf, () => ({}));
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
