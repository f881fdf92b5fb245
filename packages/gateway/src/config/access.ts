import { oneOf } from './types.ts';

/** Who may do something, from strict to loose: no client; whoever has a token that names the room; whoever is identified; every client. */
export const ACCESS_WORDS = ['nobody', 'token', 'user', 'anyone'] as const;
export type Access = (typeof ACCESS_WORDS)[number];

export const ACCESS = oneOf('anyone', 'nobody', 'user', 'token');

/** What clients do with a room. */
export const RIGHTS = ['join', 'publish'] as const;
export type RightName = (typeof RIGHTS)[number];

/** The stricter of two. */
export function stricter(one: Access, other: Access): Access {
  return isLooser(one, other) ? other : one;
}

export function isLooser(one: Access, other: Access): boolean {
  return ACCESS_WORDS.indexOf(one) > ACCESS_WORDS.indexOf(other);
}
