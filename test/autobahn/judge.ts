import type { Finding } from './fuzzing-client.ts';

/** Cases of compression, which is not spoken here: what offers it must get through without. */
const COMPRESSION = /^1[23]\./;
/** What a limit of ours answers: too many fragments, too large. */
const LIMITS: readonly (number | null)[] = [1008, 1009];
/** Cases whose messages pass the limits that a gateway has where nobody sets them. */
const LARGE = /^9\./;

/** Whether the wire did as RFC 6455 has it in a case; `isLimited`: with the limits that a gateway has by itself. */
export function isFault({ id, behavior, behaviorClose, remoteCloseCode }: Finding, isLimited: boolean): boolean {
  if (COMPRESSION.test(id)) return behavior !== 'UNIMPLEMENTED';
  if (isLimited && LARGE.test(id) && LIMITS.includes(remoteCloseCode)) return false;
  return !['OK', 'NON-STRICT', 'INFORMATIONAL'].includes(behavior) || !['OK', 'INFORMATIONAL'].includes(behaviorClose);
}
