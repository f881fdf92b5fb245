import type { Ability, Capabilities, PublishOptions } from './contract.ts';
import { LayerError } from './errors.ts';
import type { HistoryRule } from './history-rules.ts';
import { checkId } from './ids.ts';

/** What each ability is called, and which layers of Busgate have it, for the errors of those that have not. */
const ABILITIES: Readonly<Record<Ability, { readonly what: string; readonly where: string }>> = {
  history: { what: 'history', where: 'memory:, redis:// (not with wire=channels-…), nats:// with JetStream' },
  queues: { what: 'queues', where: 'memory:, redis:// (not with wire=channels-pubsub), nats:// with JetStream' },
  groups: { what: 'groups', where: 'memory:, redis://, nats://' },
  leases: { what: 'leases', where: 'memory:, redis:// (not with wire=channels-…), nats:// with JetStream' },
  sendOptions: { what: 'options of send', where: 'memory:, redis:// (not with wire=channels-…), nats:// with JetStream' },
  queueCapacities: { what: 'capacities of single queues', where: 'memory:, redis:// (not with wire=channels-…)' },
  publishIds: { what: 'ids of publishes', where: 'memory:, redis:// (not with wire=channels-…), nats:// with JetStream' },
  traces: { what: 'traces of messages', where: 'memory:, nats://' },
  records: { what: 'records', where: 'memory:, redis:// (not with wire=channels-…), nats:// with JetStream' },
};

/**
 * Refuses a call that the driver has not declared.
 * @throws LayerError UNSUPPORTED
 */
export function requireCapability(capabilities: Capabilities, wanted: Ability): void {
  if (capabilities[wanted] !== true) throw unsupported(`this layer has no ${ABILITIES[wanted].what}`, wanted, capabilities.lacks?.[wanted]);
}

/** W3C Trace Context, version 00. */
const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * Refuses an id or a trace that a broker could not carry, and a trace where this one carries none.
 * @throws LayerError INVALID_OPTION, UNSUPPORTED
 */
export function checkPublishOptions(
  { id, traceparent }: { readonly [K in keyof PublishOptions]: PublishOptions[K] | undefined },
  capabilities: Capabilities,
): void {
  checkId(id);
  if (traceparent === undefined) return;
  requireCapability(capabilities, 'traces');
  if (typeof traceparent !== 'string' || !TRACEPARENT.test(traceparent)) {
    throw new LayerError('INVALID_OPTION', 'option traceparent must be one of version 00: 00-<32 hexadecimal digits>-<16>-<2>, in lower case');
  }
}

/**
 * Refuses what only a room with history can.
 * @throws LayerError UNSUPPORTED, naming the room
 */
export function requireHistory(capabilities: Capabilities, rule: HistoryRule | undefined, room: string): asserts rule is HistoryRule {
  if (rule === undefined) throw unsupported(`room ${room} keeps no history: no rule of the option history covers it`, 'history', capabilities.lacks?.history);
}

function unsupported(lacking: string, wanted: Ability, reason: string | undefined): LayerError {
  return new LayerError('UNSUPPORTED', `${lacking}${reason === undefined ? '' : `: ${reason}`}; layers that can: ${ABILITIES[wanted].where}`);
}
