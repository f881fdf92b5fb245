import type { LayerStats } from './contract.ts';
import { LAYER_FAULTS, type LayerFault } from './faults.ts';

/** The counts of a layer to which nothing has happened yet. */
export function newStats(): LayerStats {
  return {
    connects: 0,
    faults: Object.fromEntries(LAYER_FAULTS.map((kind) => [kind, 0])) as Record<LayerFault, number>,
    published: 0,
    received: 0,
    droppedFull: 0,
    expired: 0,
    undecodable: 0,
    gaps: 0,
    repaired: 0,
    unpositioned: 0,
    leasesLost: 0,
    recordsSettled: 0,
    missedHeartbeats: 0,
    peers: 0,
    silentPeers: 0,
    roundTrip: undefined,
    roundTrips: 0,
  };
}
