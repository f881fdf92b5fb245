import type { Authority } from '../../auth/authority.ts';
import type { FrameErrorKey } from '../../errors.ts';
import type { Identity } from '../../identity.ts';

/** Who the bearer of another token is, or what the client is told. */
export async function renewedBy(
  token: string,
  { identity }: { readonly identity: Identity },
  authority: Pick<Authority, 'renew'> | undefined,
): Promise<Identity | Extract<FrameErrorKey, 'bad_token' | 'away' | 'rate'>> {
  const renewed = authority === undefined ? 'bad_token' : await authority.renew(identity, token);
  if (renewed === 'auth_away') return 'away';
  return renewed === 'unauthorized' || renewed === 'not_allowed' ? 'bad_token' : renewed;
}
