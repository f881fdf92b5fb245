import type { LayerStats } from './contract.ts';

export function newStats(): LayerStats {
  return {
    connects: 0,
    published: 0,
    received: 0,
    droppedFull: 0,
    expired: 0,
    undecodable: 0,
    gaps: 0,
    repaired: 0,
    unpositioned: 0,
    missedHeartbeats: 0,
    peers: 0,
    silentPeers: 0,
  };
}
