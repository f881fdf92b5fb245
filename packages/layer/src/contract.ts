import type { LayerFault } from './faults.ts';
import type { HistoryRule } from './history-rules.ts';
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

/**
 * Whether another process of this layer lives, as far as can be told: `alive` when it was heard within three of its heartbeats, 15 s in all but large fleets; `gone` when it said goodbye or
 * was silent for that long; `unsure` while this process has not listened for that long itself.
 */
export type Life = 'alive' | 'unsure' | 'gone';

/** A message of a room, or the place where messages of it may have been lost. */
export type RoomEvent = RoomMessage | RoomGap;

export interface RoomMessage {
  /** The published bytes as they are. Not to be written to: all listeners share them. */
  readonly payload: Uint8Array;
  /** `<epoch>:<offset>`; only in rooms with history, and there absent where the message was published around the history. */
  readonly position?: string;
  /** Of the trace that it is part of, as who published it said: of what comes live, with `capabilities.traces` and the option `traces`. Anybody may have written it. */
  readonly traceparent?: string;
  readonly gap?: never;
}

/** Messages before this one may have been lost; nothing says how many. */
export interface RoomGap {
  readonly gap: true;
  readonly payload?: never;
  readonly traceparent?: never;
  /** Rooms with history: where the room goes on, so that what follows this position is what comes; absent where nobody can tell. */
  readonly position?: string;
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

/** What is kept of a room. */
export interface HistoryReading {
  /** Oldest first. */
  readonly messages: readonly PositionedMessage[];
  /** Where the messages end: the next reading, or a subscription, goes on from here. Without `more` it is where the room stands. */
  readonly position: string;
  /** With `since` only: whether all that followed it is kept. Where false the messages are what is still kept, from the oldest. */
  readonly recovered?: boolean;
  /** More follows `position`. */
  readonly more: boolean;
}

/** A message of a room with history. */
export interface PositionedMessage extends RoomMessage {
  readonly position: string;
}

export interface HistoryOptions {
  /** Messages at most, 1 to 1000. Default 1000. */
  readonly limit?: number;
  /** Bytes of payloads at most; the first message is given whatever it has. Default 1 048 576 (1 MiB). */
  readonly bytes?: number;
  /** Without `since`: the newest so many, 0 to 1000, within `limit` and `bytes`. Default 0. */
  readonly last?: number;
}

/**
 * Called once a message, in order, with the message as it travels: one JSON object in UTF-8, which nobody has looked into. What was published on the reply topic
 * still has its member `channel`. Not to be written to, and to be copied where it is kept: it may be a part of something larger. Where a promise is returned the
 * message counts towards the credit until it settles. What it throws or rejects with is logged and stops nothing. `lifetime`: how long the message would have
 * lived on, in milliseconds, where it comes from a worker queue whose broker says so.
 */
export type ChannelListener = (payload: Uint8Array, lifetime?: number) => void | Promise<void>;

/** What a listener of a channel may have of it that is not settled; nothing is taken beyond that. One message is given in any case. */
export interface Credit {
  /** Bytes. Default 1 048 576 (1 MiB). */
  readonly bytes?: number;
  /** Messages. Default 64. */
  readonly messages?: number;
}

/** A listener of a channel. */
export interface Listening {
  /** Resolves when the listener is not called any more; what it was not given stays in the channel. Calling twice is no error. */
  close(): Promise<void>;
}

/** How a message is sent. */
export interface SendOptions {
  /** It lives this long, in milliseconds, wherever it stands in the channel: 1 to 86 400 000 (24 h), or the layer's `expiryMs` where that is longer, which is the default. */
  readonly expiryMs?: number;
  /** 1 to 128 visible ASCII characters: the same id for the same channel within 5 minutes is taken and not sent again. */
  readonly id?: string;
  /** It is taken also where the channel is full, of which it is a part for those that come later. */
  readonly exempt?: boolean;
  /** So many unexpired messages may wait in the channel for this one to be taken, 1 to 1 000 000, in place of the layer's `capacity`. For worker queues with `capabilities.queueCapacities` only. */
  readonly capacity?: number;
}

export interface PublishOptions {
  /** 1 to 128 visible ASCII characters: the same id for the same room within 5 minutes publishes nothing and answers the first one's position. */
  readonly id?: string;
  /** Of the trace that the message is part of (W3C Trace Context, version 00), which subscribers are told. With `capabilities.traces` only. */
  readonly traceparent?: string;
}

export interface LeaseOptions {
  /** It is over when it was not renewed for so long, in milliseconds, 1000 to 3 600 000. Default 10 000; it is renewed each fifth of it. */
  readonly ttlMs?: number;
}

/** What is queued when a process dies. */
export interface HeldMessage {
  /** A worker queue. */
  readonly channel: string;
  readonly message: Message;
  /** How long the message lives once it is queued, in milliseconds. Default 86 400 000 (24 h), the longest. */
  readonly expiryMs?: number;
}

/**
 * What happens when this process dies. Each record is settled exactly once: by this process, or by another one, within 20 s of the end of the lease, also where
 * this process is killed, or frozen and goes on later. Where the broker returns empty every record is written again.
 */
export interface Lease extends AsyncDisposable {
  /**
   * Aborted once others settle what this lease held, since it was not renewed in time: this process speaks for none of it any more. Its `reason` is a
   * LayerError TIMEOUT. Where the broker is merely away the lease is not lost.
   */
  readonly lost: AbortSignal;
  /**
   * Writes the record `key`, a name, or writes it again. Where it rejects nothing is held that was not before.
   * @throws LayerError INVALID_NAME, INVALID_MESSAGE, MESSAGE_TOO_LARGE; `lost.reason`
   */
  hold(key: string, held: HeldMessage): Promise<void>;
  /**
   * Takes the record away and queues `message` in its place, in the same channel or in another worker queue, also where that is full; without it nothing is queued. True
   * for the one who took it: false where there is none, or it was settled by others. Where it rejects with LAYER_AWAY or OUTCOME_UNKNOWN it is settled so when the broker
   * answers again; to call again is no error.
   */
  settle(key: string, message?: Message, options?: { readonly channel?: string }): Promise<boolean>;
  /** Settles all that is held, with the messages held. Calling twice is no error. */
  close(): Promise<void>;
}

/** What processes keep for each other. */
export interface KeptRecord {
  readonly key: string;
  readonly message: Message;
}

export interface ReceiveOptions {
  /** Aborting rejects with `signal.reason` and loses no message. */
  readonly signal?: AbortSignal;
}

export interface GroupSendResult {
  /**
   * Worker queues among the members that were full, or of which it is not known that they have the message; absent where there is none. Members in processes are
   * counted there, as `droppedFull`.
   */
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

/** What some layers can, and others cannot. */
export type Ability = 'history' | 'queues' | 'groups' | 'leases' | 'sendOptions' | 'queueCapacities' | 'publishIds' | 'records' | 'traces';

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
  /** What happens when a process dies: `lease`. */
  readonly leases?: true;
  /** `send` takes options, for worker queues too. */
  readonly sendOptions?: true;
  /** One of these is `capacity`, for worker queues too: each may have a bound of its own. */
  readonly queueCapacities?: true;
  /** `publish` takes an `id`, in rooms with history. */
  readonly publishIds?: true;
  /** Small messages that are kept for all processes: `records`. */
  readonly records?: true;
  /** `publish` takes a `traceparent`, and subscribers are told it. */
  readonly traces?: true;
  /** Why it has not one of these, in a few words for the error. */
  readonly lacks?: Readonly<Partial<Record<Ability, string>>>;
  /** A narrower rule of names than all other layers have: what it does not allow is INVALID_NAME. */
  readonly names?: NameRule;
  /** A group is also the room of its name: `groupSend` reaches the room's subscribers with the message's JSON text, and `publish` the group's members. */
  readonly groupsAreRooms?: true;
  /** Without `queues`: `send` to a worker queue is passed on to programs outside that listen at that moment, and promises nothing else. */
  readonly sendsToWorkers?: true;
  /** What is for a process that is cut off waits for it: when it is back, what it missed follows the gap. */
  readonly waitsForProcesses?: true;
}

/** Counts since the layer was opened; they only grow, save `peers`, `silentPeers` and `roundTrip`. */
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
  /** Leases of this process that others have settled. */
  leasesLost: number;
  /** Records of other processes, dead or frozen, that this one settled. */
  recordsSettled: number;
  /** Heartbeats of another process that were missed although both lived. */
  missedHeartbeats: number;
  /** Other processes heard within the lease. */
  peers: number;
  /** Other processes that are silent and have not said goodbye, within the lease. */
  silentPeers: number;
  /** What this process's last heartbeat took through the broker and back to it, in milliseconds; undefined before the first came back. */
  roundTrip: number | undefined;
  /** Heartbeats of this process that came back to it. */
  roundTrips: number;
}

/** What was looked at of a broker, and what was found. */
export interface Finding {
  /** `fix`: it should be changed, as `advice` says. `unknown`: it could not be looked at, for the reason in `advice`. */
  readonly state: 'ok' | 'fix' | 'unknown';
  /** What was looked at, and how it is. */
  readonly what: string;
  /** What to type, or why it is not known. */
  readonly advice?: string;
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
  /** Whether messages of rooms are looked at for a `traceparent`, where the broker carries it beside the payload. Default false. */
  readonly traces?: boolean;
  readonly logger?: LayerLogger;
}

/** {@link LayerOptions} with every default filled in. */
export type ResolvedOptions = Required<LayerOptions>;
