import type { Capabilities } from './contract.ts';
import { LayerError } from './errors.ts';

/** Which layers of Busgate can what, for the errors of those that cannot. */
const CAN: Readonly<Record<'history' | 'queues' | 'groups', string>> = {
  history: 'memory:, redis:// (not with wire=channels-…), nats:// with JetStream',
  queues: 'memory:, redis:// (not with wire=channels-pubsub), nats:// with JetStream',
  groups: 'memory:, redis://, nats://',
};

/**
 * Refuses a call that the driver has not declared.
 * @throws LayerError UNSUPPORTED
 */
export function requireCapability(capabilities: Capabilities, wanted: keyof typeof CAN): void {
  if (capabilities[wanted]) return;
  const reason = capabilities.lacks?.[wanted];
  throw new LayerError('UNSUPPORTED', `this layer has no ${wanted}${reason === undefined ? '' : `: ${reason}`}; layers that can: ${CAN[wanted]}`);
}
