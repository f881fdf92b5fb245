/**
 * What an author of a driver needs: the interface, the errors to reject with, and the rules that names and history follow.
 * A driver knows one broker and nothing else: groups, local channels, the codec, positions and repair are the layer's.
 * @module
 */
export type { Capabilities, Finding, LayerLogger, ResolvedOptions } from '../contract.ts';
export { LayerError, isLayerError, type LayerErrorCode } from '../errors.ts';
export type { LayerFault } from '../faults.ts';
export type { Met } from './losses.ts';
export { historyRule, matchesRooms, type HistoryRule } from '../history-rules.ts';
export type { NameRule } from '../names.ts';
export { formatPosition, parsePosition, type Position } from '../position.ts';
export type { LastMessage, LeaseAnswer, LeaseRecord, LeaseStore } from './leases.ts';
export type { RecordStore, StoredRecord } from './records.ts';
export { ID_MEMORY_MS } from './driver.ts';
export { LONGEST_EXPIRY_MS } from '../options.ts';
export type {
  Driver,
  DriverContext,
  DriverEvents,
  DriverModule,
  GroupPublishResult,
  HistoryPage,
  PushOptions,
  Stamp,
  ReadAheadLimits,
  Taken,
  Topic,
  TopicKind,
  TopicSink,
} from './driver.ts';
export { clockFinding, findingOf } from './findings.ts';
export { withResolvers, type Resolvers } from './resolvers.ts';
export { Reconnecting, type Absence } from './reconnecting.ts';
export { Patience } from './patience.ts';
export { RefusedTopics, type RefusedTopic } from './refused-topics.ts';
export { Resubscription } from './resubscription.ts';
export { UnderWay } from './under-way.ts';
export { UrlReader, type Address, type TlsFiles } from './url.ts';
