import type { Capabilities } from './contract.ts';
import { LayerError } from './errors.ts';

/** Which layers of Busgate can what, for the errors of those that cannot. */
const CAN: Readonly<Record<'history' | 'queues' | 'groups', string>> = {
  history: 'memory:, redis://, nats:// with JetStream',
  queues: 'memory:, redis://, nats:// with JetStream',
  groups: 'memory:, redis://, nats://',
};

/**
 * Refuses a call that the driver has not declared.
 * @throws LayerError UNSUPPORTED
 */
export function requireCapability(capabilities: Capabilities, wanted: keyof typeof CAN): void {
  if (!capabilities[wanted]) throw new LayerError('UNSUPPORTED', `this layer has no ${wanted}; layers that can: ${CAN[wanted]}`);
}
