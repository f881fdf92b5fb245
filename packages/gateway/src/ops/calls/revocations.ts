import { Buffer } from 'node:buffer';
import { isLayerError } from '@busgate/layer';
import type { Revocation, Revocations } from '../../auth/revocations.ts';
import { publishFailure } from '../../layer-errors.ts';
import type { ApiCall, ApiRequest } from '../api.ts';
import { mayBeSent } from '../../transports/websocket/frames.ts';
import { closeOf } from '../../errors.ts';
import { OpsError } from '../errors.ts';
import { readObject } from '../json.ts';
import { type AskableFleet, askOwner } from './sessions.ts';

const DAY_MS = 86_400_000;
const MOST = 1000;
/** A time with its offset (RFC 3339 section 5.6). */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i;

type Members = Readonly<Record<string, unknown>>;

/**
 * `POST /api/revoke` and `POST /api/disconnect`, which every gateway of the fleet obeys. `revocations`: undefined where nobody is known: a session can be ended there too, and no
 * other one ever has its id.
 */
export function revocationCalls(revocations: Pick<Revocations, 'revoke' | 'disconnect'> | undefined, fleet: AskableFleet): ApiCall[] {
  const known = (): Pick<Revocations, 'revoke' | 'disconnect'> => {
    if (revocations === undefined) throw new OpsError('no_auth');
    return revocations;
  };
  return [
    {
      method: 'POST',
      path: '/api/revoke',
      async serve(request) {
        const members = membersOf(request);
        const revocation = revocationOf(members, Date.now());
        if (revocations === undefined && revocation.session !== undefined) await end(fleet, revocation.session);
        else await orRefused(() => known().revoke(revocation));
        return { ...revocation, until: revocation.until.toISOString() };
      },
    },
    {
      method: 'POST',
      path: '/api/disconnect',
      async serve(request) {
        const { user, code = closeOf('drained').code } = membersOf(request);
        if (!isNamed(user) || typeof code !== 'number' || !mayBeSent(code)) throw new OpsError('bad_request');
        await orRefused(() => known().disconnect({ user, code }));
        return { user, code };
      },
    },
  ];
}

async function end(fleet: AskableFleet, session: string): Promise<void> {
  if (!(await askOwner(fleet, 'close', session, { session, code: closeOf('expired').code }))) throw new OpsError('no_session');
}

function membersOf({ body }: ApiRequest): Members {
  return readObject(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
}

function revocationOf(members: Members, now: number): Revocation {
  const { until, all } = members;
  const end = until === undefined ? now + DAY_MS : typeof until === 'string' && TIME.test(until) ? Date.parse(until) : NaN;
  if (!(end > now) || (all !== undefined && typeof all !== 'boolean')) throw new OpsError('bad_request');
  return { ...namedIn(members), ...(all !== undefined && { all }), until: new Date(end) };
}

/** One of the three. */
function namedIn(members: Members): { readonly user: string } | { readonly token: string } | { readonly session: string } {
  const { user, token, session } = members;
  const said = [user, token, session].filter((name) => name !== undefined);
  if (said.length !== 1 || !isNamed(said[0])) throw new OpsError('bad_request');
  if (user !== undefined) return { user: said[0] };
  return token === undefined ? { session: said[0] } : { token: said[0] };
}

function isNamed(name: unknown): name is string {
  return typeof name === 'string' && name !== '' && name.length <= MOST;
}

async function orRefused(attempt: () => Promise<void>): Promise<void> {
  try {
    await attempt();
  } catch (error) {
    if (error instanceof OpsError) throw error;
    if (isLayerError(error, 'UNSUPPORTED')) throw new OpsError('no_records');
    if (isLayerError(error, 'INVALID_OPTION')) throw new OpsError('bad_request');
    const key = publishFailure(error);
    throw key === 'away' || key === 'unknown' ? new OpsError(key) : error;
  }
}
