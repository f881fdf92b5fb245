/**
 * The channel layer: rooms, channels and groups between processes, on memory, Redis or NATS.
 * @module
 */
export type {
  Ability,
  Capabilities,
  ChannelListener,
  Credit,
  Finding,
  GroupSendResult,
  HeldMessage,
  HistoryOptions,
  HistoryReading,
  KeptRecord,
  LayerLogger,
  LayerOptions,
  LayerStats,
  LayerStatus,
  Lease,
  LeaseOptions,
  Life,
  Listening,
  Message,
  PositionedMessage,
  PublishOptions,
  ReceiveOptions,
  RoomEvent,
  RoomGap,
  RoomListener,
  RoomMessage,
  SendOptions,
  SubscribeOptions,
  Subscription,
  Value,
} from './contract.ts';
export { LayerError, isLayerError, type LayerErrorCode } from './errors.ts';
export { LAYER_FAULTS, type LayerFault } from './faults.ts';
export { matchesRooms, type HistoryRule } from './history-rules.ts';
export { ChannelLayer } from './layer.ts';
export { NAME_RULE, PREFIX_RULE, isName, isPrefix, type NameRule } from './names.ts';
export { LAYER_URLS, openLayer } from './open.ts';
export type { Records } from './records.ts';
export { formatPosition, parsePosition, type Position } from './position.ts';
export { newStats } from './stats.ts';
