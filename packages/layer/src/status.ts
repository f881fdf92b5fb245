import type { LayerStatus } from './contract.ts';
import { LayerError } from './errors.ts';

/** The status with what is wrong with the broker, if anything. Gateways ask with each frame that publishes or joins: where nothing is wrong nothing is made. */
export function describe(status: LayerStatus, fault: string | undefined, partitioned: boolean): LayerStatus {
  const reason = status.state === 'closed' ? undefined : fault;
  if (reason === undefined && !partitioned) return status;
  return { ...status, ...(reason === undefined ? {} : { reason }), ...(partitioned ? { partitioned } : {}) };
}

/** @throws LayerError LAYER_CLOSED */
export function checkOpen({ state }: LayerStatus): void {
  if (state === 'closed') throw closed();
}

/** @throws LayerError LAYER_CLOSED, LAYER_AWAY */
export function checkReachable(status: LayerStatus): void {
  checkOpen(status);
  if (status.state === 'away') throw new LayerError('LAYER_AWAY', `the broker has been away since ${status.since.toISOString()}: nothing was sent`);
}

export function closed(): LayerError {
  return new LayerError('LAYER_CLOSED', 'the layer has been closed');
}
