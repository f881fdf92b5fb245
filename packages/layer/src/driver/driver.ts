import type { Capabilities, Finding, ResolvedOptions } from '../contract.ts';
import type { LayerFault } from '../faults.ts';
import type { HistoryRule } from '../history-rules.ts';
import type { Position } from '../position.ts';
import type { LeaseStore } from './leases.ts';
import type { RecordStore } from './records.ts';

/**
 * - `room`: the live messages of a room, raw bytes.
 * - `group`: messages to a group, one JSON object each.
 * - `process`: the inbox of one process.
 * - `control`: what processes tell each other (heartbeats).
 */
export type TopicKind = 'room' | 'group' | 'process' | 'control';

/** What is published to and subscribed. On Redis `<prefix>:<kind>:<name>`, on NATS `<prefix>.<kind>.<name>`. */
export interface Topic {
  readonly kind: TopicKind;
  readonly name: string;
}

/** Where a live message of a room with history stands: its own position, and the offset of the one before it in the same epoch (0: it is the first). */
export interface Stamp extends Position {
  readonly previous: number;
}

/** Receives what arrives on one topic, in the broker's order, from subscribe's resolution on (earlier is allowed). Never throws. */
export interface TopicSink {
  message(payload: Uint8Array, stamp?: Stamp, traceparent?: string): void;
  /**
   * Messages of this topic may have been lost. After the broker was away: called exactly once for each topic, when the new subscription is
   * confirmed and before any message that came through it.
   */
  gap(): void;
}

export interface DriverEvents {
  /**
   * `connected`: calls work and every topic that was subscribed is subscribed again, proved by the broker's own answer and by a message of the
   * driver's own through each subscription connection. `away`: calls reject with LAYER_AWAY.
   */
  state(state: 'connected' | 'away', reason?: string): void;
  /**
   * Something is wrong with the broker, in its own words. Told once an occurrence, after the `state` that it led to, if any; while away as often as it
   * is tried: the layer counts each kind once until the broker is back.
   */
  fault(kind: LayerFault, reason: string): void;
  /** A payload on a topic or a queue could not be read: it was skipped. */
  undecodable(where: string): void;
  /** So many messages for channels or rooms of other processes were dropped: the broker keeps no more for those processes. */
  dropped(messages: number): void;
}

/** A message taken from a queue. It is settled or put back, once; only a `giveBackInOrder` that could not leaves it to be handed out or put back still. */
export interface Taken {
  /** The message as the sender's layer encoded it: one JSON object. */
  readonly payload: Uint8Array;
  /** When it expires, on this process's `performance.now()`; absent where that is not known. A message that was read ahead is not handed out after it. */
  readonly endsAt?: number;
  /**
   * Settles the message with the broker before anybody sees it; false where that could not be made sure, and the message must not be used
   * (at most once). Absent where taking it was settling it.
   */
  accept?(): Promise<boolean>;
  /**
   * Puts the message back at the head of its queue, since the reader that asked for it has gone. Several of one pop are given back in one turn of
   * the event loop, youngest first: no reader gets one of them before an older one.
   */
  giveBack(): Promise<void>;
  /**
   * The same, but only where nobody has taken a later one meanwhile, who would see them out of order: else false, and it is still this process's.
   * Only on what was read ahead; absent where that cannot be told.
   */
  giveBackInOrder?(): Promise<boolean>;
}

export interface ReadAheadLimits {
  /** How many may be held at most. */
  readonly most: number;
  /** So many messages must have been read quickly before. */
  readonly proof: number;
}

/** A piece of a room's history. */
export interface HistoryPage {
  readonly epoch: string;
  /** Offset of the newest message, 0 where there has been none in this epoch. */
  readonly head: number;
  /** Whether the history began with this epoch, so that all that it has was published since; where absent some of it may be older. */
  readonly fresh?: true;
  /** Whether `messages` is all that followed the position asked for: it is of this epoch, not beyond `head`, and nothing after it was trimmed or has expired. */
  readonly complete: boolean;
  /** What followed the position asked for and is still kept, oldest first; empty where none was asked for or it is of another epoch. */
  readonly messages: readonly { readonly offset: number; readonly payload: Uint8Array }[];
}

/** How long the ids of what was pushed and appended are remembered, in milliseconds. */
export const ID_MEMORY_MS = 300_000;

/** With `capabilities.sendOptions` only. */
export interface PushOptions {
  /** How long this message lives, in milliseconds, wherever it stands in the queue; absent: the layer's `expiryMs`. */
  readonly expiryMs?: number;
  /**
   * Where it was pushed within {@link ID_MEMORY_MS} the message is there already: nothing is pushed, and it counts as taken. Known and remembered in the same
   * step as the push. Visible ASCII and at most one space; no two queues share one.
   */
  readonly id?: string;
  /** Taken also where the queue is full, of which it is a part for those that come later. */
  readonly exempt?: boolean;
  /** In place of the layer's `capacity`; with `capabilities.queueCapacities` only. */
  readonly capacity?: number;
}

export interface GroupPublishResult {
  /** Worker queues that are members just now: the layer pushes to them. Empty where the broker itself has done so. */
  readonly queues: readonly string[];
  /** Where it has: how many of them were full; absent where none is a member. */
  readonly dropped?: number;
}

/**
 * The thin part of a layer that knows one broker.
 *
 * Common to all calls: while the broker cannot be reached they reject with LAYER_AWAY at once and nothing is kept for later. A call whose
 * answer was lost with the connection rejects with OUTCOME_UNKNOWN and is never resent. Calls made one after the other without waiting reach
 * the broker in that order. Names were checked by the layer. A payload given to a driver does not change afterwards; its buffer may hold others besides.
 */
export interface Driver {
  readonly capabilities: Capabilities;
  /**
   * Lets messages of a queue be taken that nobody has asked for yet, where listeners read quickly: for brokers where taking one costs a round trip and
   * settles it (no `accept`). Absent: none.
   */
  readonly readAhead?: ReadAheadLimits;

  /**
   * Connects. Resolves once connected, or once the first attempt failed for a reason that may pass (the driver then keeps trying, with
   * growing and jittered waits, for ever).
   * @throws LayerError REFUSED where the broker refuses the credentials
   */
  open(events: DriverEvents): Promise<void>;

  /** The name by which other programs publish to this topic with nothing but their broker's client. */
  topicName(topic: Topic): string;

  /**
   * Resolves when the broker has taken it, with how many processes it reached where the broker can tell: 0 means certainly nobody.
   * Publishes of one turn of the event loop leave in one write. `traceparent`, with `capabilities.traces` and for rooms only: travels beside the payload.
   */
  publish(topic: Topic, payload: Uint8Array, traceparent?: string): Promise<number | undefined>;
  /** Resolves when the broker has confirmed it. At most one subscription a topic: the layer shares it. `history` says that the room has one. */
  subscribe(topic: Topic, sink: TopicSink, history?: HistoryRule): Promise<void>;
  /** The sink is not called from this call on. While away it resolves at once. */
  unsubscribe(topic: Topic): Promise<void>;

  /** Appends to a queue if fewer than `capacity` unexpired messages wait in it, in one atomic step; false where it is full. */
  push(queue: string, payload: Uint8Array, options?: PushOptions): Promise<boolean>;
  /** The bound that the last push met for which the queue was full, where that may be another one than this process's `capacity`. */
  readonly capacityMet?: number | undefined;
  /**
   * Waits for messages and takes up to `max`, oldest first, none that has expired by the broker's clock. Goes on waiting over a time without
   * broker. When `signal` aborts it resolves promptly, with what it had already been given, else with none. One call a queue at a time.
   * `ahead`, with `readAhead` only: so many more than `max` may be taken.
   */
  pop(queue: string, max: number, signal: AbortSignal, ahead?: number): Promise<readonly Taken[]>;
  /** Makes what readers of a queue need that have nothing but their broker's client, or finds it. Absent: they need nothing. */
  prepareQueue?(queue: string): Promise<void>;

  /** Makes a worker queue a member of a group for `groupExpiryMs` from now. */
  addMember(group: string, queue: string): Promise<void>;
  removeMember(group: string, queue: string): Promise<void>;
  /**
   * Makes a worker queue that this process had added a member again where the broker has lost it, for `leftMs` from now: called after the broker was away,
   * and from time to time. False where the membership has been ended meanwhile. Absent where the broker cannot tell that from a loss: then it is added
   * again after the broker was away, and only then.
   */
  renewMember?(group: string, queue: string, leftMs: number): Promise<boolean>;
  /** Publishes once on the group's topic, and tells which worker queues are members. */
  publishGroup(group: string, payload: Uint8Array): Promise<GroupPublishResult>;

  /**
   * Appends to the room's history and publishes it with its stamp, in one atomic step. `id`, with `capabilities.publishIds` only: where it was appended
   * within {@link ID_MEMORY_MS} nothing is appended or published, and the position is that of the first; known and remembered in the same step. Visible
   * ASCII and at most one space; no two rooms share one.
   */
  append(room: string, payload: Uint8Array, rule: HistoryRule, id?: string, traceparent?: string): Promise<Position>;
  /** What followed `after`; without it, only where the history stands. */
  read(room: string, rule: HistoryRule, after?: Position): Promise<HistoryPage>;
  /** Lets go of all that is kept of the room. Positions go on from where they stand, and who asks for what followed an earlier one is told that it is not complete. */
  purge(room: string, rule: HistoryRule): Promise<void>;

  /** Looks at settings of the broker that lose messages, and at its clock, and says what is to be changed; absent where there is nothing to look at. */
  examine?(): Promise<readonly Finding[]>;

  /** With `capabilities.leases` only. */
  readonly leases?: LeaseStore;
  /** With `capabilities.records` only. */
  readonly records?: RecordStore;

  /** Removes everything that this prefix has in the broker: queues, memberships, histories, leases, records, ids. Other prefixes are untouched. */
  flush(): Promise<void>;
  /** Waits for calls under way, then lets go of every connection. Pending pops resolve with none. */
  close(): Promise<void>;
}

export interface DriverContext {
  readonly options: ResolvedOptions;
  /** This process's id, unique in the fleet. */
  readonly process: string;
}

/** What a driver's package exports. */
export interface DriverModule {
  /** @throws LayerError INVALID_URL, saying which part of it is wrong and what is allowed */
  createDriver(url: string, context: DriverContext): Driver;
}
