import type { LayerFault } from './faults.ts';
import type { HistoryRule } from './history.ts';
import type { NameRule } from './names.ts';

/** A value that a message may hold. Bytes travel as `{"$bytes":"<base64>"}`. */
export type Value = string | number | boolean | null | Uint8Array | readonly Value[] | { readonly [key: string]: Value };

/**
 * A message of a channel: a JSON object. What is received equals what was sent in every field and shares nothing with it.
 * Numbers are JSON's; NaN, infinities, BigInt, undefined, functions and objects that are not plain are INVALID_MESSAGE.
 * Lone surrogates in strings become U+FFFD, since not every language can carry them.
 */
export interface Message {
  readonly [key: string]: Value;
}

/** A message of a room, or the place where messages of it may have been lost. */
export type RoomEvent = RoomMessage | RoomGap;

export interface RoomMessage {
  /** The published bytes as they are. Not to be written to: all listeners share them. */
  readonly payload: Uint8Array;
  /** `<epoch>:<offset>`; only in rooms with history, and there absent where the message was published around the history. */
  readonly position?: string;
  readonly gap?: never;
}

/** Messages before this one may have been lost; nothing says how many. */
export interface RoomGap {
  readonly gap: true;
  readonly payload?: never;
  readonly position?: never;
}

/** Called once an event, in order, never re-entered for one room; what it throws is logged and stops nothing. */
export type RoomListener = (event: RoomEvent) => void;

export interface Subscription {
  /**
   * Rooms with history: the position that the subscription stands at when it resolves. Everything up to it that was asked for with `since`
   * was given to the listener, everything after it follows.
   */
  readonly position?: string;
  /** Rooms with history, when `since` was given: whether all that followed `since` was replayed. Where false, the listener got a gap first. */
  readonly recovered?: boolean;
  /** Ends the subscription: the listener is not called again from this call on. Calling twice is no error. */
  close(): Promise<void>;
}

export interface SubscribeOptions {
  /** Replay what followed this position first. A position of another epoch, or one that is too old, gives a gap instead. */
  readonly since?: string;
}

export interface ReceiveOptions {
  /** Aborting rejects with `signal.reason` and loses no message. */
  readonly signal?: AbortSignal;
}

export interface GroupSendResult {
  /** Worker queues among the members that were full; absent where there is none. Members in processes are counted there, as `droppedFull`. */
  readonly dropped?: number;
}

export interface LayerStatus {
  /** `away`: the broker cannot be reached; the layer keeps trying. */
  readonly state: 'connected' | 'away' | 'closed';
  /** When this state began. */
  readonly since: Date;
  /** While away, why; while connected, the last fault of the broker within the last 30 s. For people: `<kind>: <the broker's words>`. */
  readonly reason?: string;
  /** Within the last 30 s a heartbeat of another process was missed although both lived: the broker is, or was, partitioned. */
  readonly partitioned?: true;
}

/** What a layer can do. A call beyond it rejects with UNSUPPORTED. */
export interface Capabilities {
  /** `total`: all subscribers of a room see one order. `publisher`: only each publisher's own order holds everywhere. Rooms with history always have one order. */
  readonly roomOrder: 'total' | 'publisher';
  readonly history: boolean;
  /** Worker queues: named channels that any process may read. */
  readonly queues: boolean;
  readonly groups: boolean;
  /** Whether other processes share this layer. */
  readonly processes: boolean;
  /** Why it has no history, queues or groups, in a few words for the error. */
  readonly lacks?: Readonly<Partial<Record<'history' | 'queues' | 'groups', string>>>;
  /** A narrower rule of names than all other layers have: what it does not allow is INVALID_NAME. */
  readonly names?: NameRule;
  /** A group is also the room of its name: `groupSend` reaches the room's subscribers with the message's JSON text, and `publish` the group's members. */
  readonly groupsAreRooms?: true;
  /** Without `queues`: `send` to a worker queue is passed on to programs outside that listen at that moment, and promises nothing else. */
  readonly sendsToWorkers?: true;
  /** What is for a process that is cut off waits for it: when it is back, what it missed follows the gap. */
  readonly waitsForProcesses?: true;
}

/** Counts since the layer was opened; they only grow, save `peers` and `silentPeers`. */
export interface LayerStats {
  /** Times the broker was reached. */
  connects: number;
  /** Faults of the broker, by kind; every kind is there from the start. */
  readonly faults: Record<LayerFault, number>;
  /** Messages published to rooms by this process and taken by the broker. */
  published: number;
  /** Messages of rooms that reached this process. */
  received: number;
  /** Messages of channels dropped because the channel was full. */
  droppedFull: number;
  /** Messages of channels dropped because they expired unread in this process. */
  expired: number;
  /** Payloads that could not be read and were skipped. */
  undecodable: number;
  /** Gaps told, one a room. */
  gaps: number;
  /** Rooms repaired from their history without a gap. */
  repaired: number;
  /** Messages published around a room's history: live only. */
  unpositioned: number;
  /** Heartbeats of another process that were missed although both lived. */
  missedHeartbeats: number;
  /** Other processes heard within the lease. */
  peers: number;
  /** Other processes that are silent and have not said goodbye, within the lease. */
  silentPeers: number;
}

/** Where a layer writes what its operator should read. */
export interface LayerLogger {
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

export interface LayerOptions {
  /** First level of every key and subject: letters, digits, `_` and `-`. Layers with different prefixes do not see each other. Default `busgate`. */
  readonly prefix?: string;
  /** Unexpired messages that may wait in one channel. Default 100. */
  readonly capacity?: number;
  /** A message lives this long, in milliseconds. Default 60 000. */
  readonly expiryMs?: number;
  /** A membership ends this long after its last `groupAdd`, in milliseconds. Default 86 400 000 (24 h). */
  readonly groupExpiryMs?: number;
  /** Which rooms keep a history; the first rule that matches wins. Default none. */
  readonly history?: readonly HistoryRule[];
  /** Bytes of one encoded message or payload. Default 1 048 576 (1 MiB). */
  readonly maxMessageBytes?: number;
  readonly logger?: LayerLogger;
}

/** {@link LayerOptions} with every default filled in. */
export type ResolvedOptions = Required<LayerOptions>;
