import { oneOf } from './types.ts';

/** Who may do something, from strict to loose: no client, or every client that reaches the gateway. */
const ACCESS_WORDS = ['nobody', 'anyone'] as const;
export type Access = (typeof ACCESS_WORDS)[number];

export const ACCESS = oneOf('anyone', 'nobody');

/** What clients do with a room. */
export type RightName = 'join' | 'publish';

/** The stricter of two. */
export function stricter(one: Access, other: Access): Access {
  return ACCESS_WORDS.indexOf(one) < ACCESS_WORDS.indexOf(other) ? one : other;
}
