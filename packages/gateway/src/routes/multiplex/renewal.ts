import type { Authority } from '../../auth/authority.ts';
import type { FrameErrorKey } from '../../errors.ts';
import type { Identity } from '../../identity.ts';
import type { Session } from '../../session/session.ts';

/** Who the bearer of another token is, or what the client is told; a session that is closed has no address, and is nobody. */
export async function renewedBy(
  token: string,
  { identity, address }: Pick<Session, 'identity' | 'address'>,
  authority: Pick<Authority, 'renew'> | undefined,
): Promise<Identity | Extract<FrameErrorKey, 'bad_token' | 'away' | 'rate'>> {
  const renewed = authority === undefined || address === undefined ? 'bad_token' : await authority.renew(identity, token, address);
  if (renewed === 'auth_away') return 'away';
  return renewed === 'unauthorized' || renewed === 'not_allowed' ? 'bad_token' : renewed;
}
