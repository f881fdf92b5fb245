import { createHmac } from 'node:crypto';

export const SECRET = 'a secret of thirty-two bytes and more';

/** Seconds since 1970. */
export function seconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** Claims that hold for an hour, with these changes; undefined takes one out. */
export function claimsOf(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { sub: 'bob', iat: seconds() - 10, exp: seconds() + 3600, ...changes };
}

/** A token that is good where `auth.jwt` is {@link JWT}. */
export function tokenFor(changes: Readonly<Record<string, unknown>> = {}): string {
  return signed({ alg: 'HS256' }, JSON.stringify(claimsOf(changes)));
}

/** Signed with a secret, whatever its head and its claims say. */
export function signed(head: object | string, claims: string, secret = SECRET): string {
  const text = `${encoded(typeof head === 'string' ? head : JSON.stringify(head))}.${encoded(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

export function encoded(text: string): string {
  return Buffer.from(text).toString('base64url');
}

/** The setting `auth.jwt` for tokens of this file. */
export const JWT: string = JSON.stringify({ key: SECRET, algorithms: ['HS256'] });
