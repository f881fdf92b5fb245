/**
 * The conformance suite: every promise of the layer's contract is a test, and every driver must pass all of them. It asks for no runner in particular:
 *
 * ```ts
 * layerConformance({ describe, test }, { name: 'memory', open: (options) => openLayer('memory:conformance', options) });
 * ```
 *
 * What differs between drivers comes from `layer.capabilities` alone, and is asserted as it is declared there: where one is missing the calls reject with
 * UNSUPPORTED, and names are those of `capabilities.names`.
 * @module
 */
import { prefixes } from './prefixes.ts';
import { cancellation } from './cancellation.ts';
import { channels } from './channels.ts';
import { expiry, groupExpiry } from './expiry.ts';
import { groups, groupsOfQueues } from './groups.ts';
import { halfDone } from './half-done.ts';
import { heldRooms } from './held-rooms.ts';
import { heldUp } from './held-up.ts';
import { history } from './history.ts';
import { leases } from './leases.ts';
import { lifecycle } from './lifecycle.ts';
import { listeners } from './listeners.ts';
import { messages } from './messages.ts';
import { names } from './names.ts';
import { order, orderInHistories, orderInQueues } from './order.ts';
import { otherReaders } from './other-readers.ts';
import { outside } from './outside.ts';
import { publishIds } from './publish-ids.ts';
import { queues } from './queues.ts';
import { readings } from './readings.ts';
import { records } from './records.ts';
import { rooms } from './rooms.ts';
import { queueCapacities, sendOptions } from './send-options.ts';
import type { Runner, Subject } from './subject.ts';
import { runFamilies } from './suite.ts';
import { traces } from './traces.ts';

const FAMILIES = [
  names,
  messages,
  rooms,
  history,
  readings,
  publishIds,
  traces,
  channels,
  listeners,
  queues,
  sendOptions,
  queueCapacities,
  leases,
  records,
  groups,
  groupsOfQueues,
  order,
  orderInQueues,
  orderInHistories,
  cancellation,
  otherReaders,
  expiry,
  groupExpiry,
  lifecycle,
  prefixes,
  halfDone,
  heldRooms,
];

export type { Reachable } from './cut-off.ts';
export { layerFaultConformance, type Broker, type FaultSubject } from './faults.ts';
export { layerLoadConformance } from './load.ts';
export type { Elsewhere, Runner, Subject } from './subject.ts';

/** Defines the tests that every layer must pass. `subject.open` is called several times a test, each time as another process. */
export function layerConformance(runner: Runner, subject: Subject): void {
  const families = [...FAMILIES, ...(subject.publishRaw === undefined ? [] : [outside]), ...(subject.elsewhere === undefined ? [] : [heldUp])];
  runner.describe(`layer conformance: ${subject.name}`, () => runFamilies(runner, subject, families));
}
