import type { ChannelLayer } from '@busgate/layer';
import type { Revocations } from '../auth/revocations.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { ApiCall } from './api.ts';
import { drainCall } from './calls/drain.ts';
import { fleetCall } from './calls/fleet.ts';
import { guaranteesCall, type Promised } from './calls/guarantees.ts';
import { historyCalls } from './calls/history.ts';
import { publishCall, type Publishing } from './calls/publish.ts';
import { revocationCalls } from './calls/revocations.ts';
import { roomsCalls } from './calls/rooms.ts';
import { sessionsCalls } from './calls/sessions.ts';
import { tapCall } from './calls/tap.ts';
import { openApi } from './openapi.ts';

export interface ApiContext extends Publishing {
  readonly fleet: Fleet;
  readonly layer: Pick<ChannelLayer, 'process' | 'history' | 'purge' | 'subscribe' | 'status' | 'capabilities'>;
  readonly config: Promised;
  readonly version: string;
  /** Undefined where nobody is known. */
  readonly revocations: Revocations | undefined;
  /** Begins what SIGTERM does. */
  readonly drain: () => void;
}

/** Every call of the operator's API. */
export function callsOf({ fleet, layer, config, publish, message, log, drain, version, revocations }: ApiContext): readonly ApiCall[] {
  const standing = async (room: string): Promise<string | undefined> => {
    const reading = await layer.history(room).catch(() => undefined);
    return reading?.position;
  };
  return [
    publishCall({ publish, message, log }),
    ...roomsCalls({ fleet, process: layer.process, standing }),
    ...historyCalls(layer),
    ...sessionsCalls(fleet),
    ...revocationCalls(revocations, fleet),
    tapCall(layer),
    fleetCall(fleet),
    guaranteesCall(config, layer),
    drainCall(drain),
    { method: 'GET', path: '/api/openapi.json', serve: async () => openApi(version) },
  ];
}
