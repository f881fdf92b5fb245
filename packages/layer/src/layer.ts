import { Channels } from './channels.ts';
import { ProcessChannels } from './process-channels.ts';
import { encodeMessage, encodePayload } from './codec.ts';
import type {
  Capabilities,
  ChannelListener,
  Credit,
  Finding,
  GroupSendResult,
  HistoryOptions,
  HistoryReading,
  LayerStats,
  LayerStatus,
  Lease,
  LeaseOptions,
  Listening,
  Message,
  PublishOptions,
  ReceiveOptions,
  ResolvedOptions,
  RoomListener,
  SendOptions,
  SubscribeOptions,
  Subscription,
} from './contract.ts';
import type { Driver } from './driver/driver.ts';
import { FaultLog } from './fault-log.ts';
import type { LayerFault } from './faults.ts';
import { Groups } from './groups.ts';
import { historyRule, type HistoryRule } from './history-rules.ts';
import { idIn } from './ids.ts';
import { Inbox } from './inbox.ts';
import { Leases } from './leases.ts';
import { Memberships } from './memberships.ts';
import { channelAddress, checkName, NAMES, type NameRule } from './names.ts';
import { checkSendOptions, resolveCredit, resolveHistoryOptions } from './options.ts';
import { Peers, type Notice } from './peers.ts';
import { formatPosition } from './position.ts';
import { QueueReaders } from './queue-readers.ts';
import { Records } from './records.ts';
import { Rooms } from './rooms.ts';
import { newStats } from './stats.ts';
import { checkOpen, checkReachable, closed, describe } from './status.ts';
import { checkPublishOptions, requireCapability, requireHistory } from './abilities.ts';

/**
 * Carries rooms, channels and groups between processes. The comments on its methods are the specification; the conformance suite has a test for
 * each promise. Groups and rooms are two name spaces: `groupSend` reaches channels and never a room, `publish` subscribers of a room and never a
 * channel.
 *
 * Common to all calls: names are checked before anything is sent (INVALID_NAME); after `close` they reject with LAYER_CLOSED; while the broker is
 * away those that need it reject with LAYER_AWAY at once and nothing is held for later; a call whose answer was lost rejects with OUTCOME_UNKNOWN
 * and is never resent; what the driver cannot do is UNSUPPORTED.
 */
export class ChannelLayer implements AsyncDisposable {
  /** Counts for metrics; read them whenever you like. */
  readonly stats: LayerStats = newStats();
  /** What is kept for all processes. */
  readonly records: Records;
  /** Whether the process of that name lives. */
  readonly lifeOf: Peers['lifeOf'] = (process) => this.#peers.lifeOf(process);
  readonly #driver: Driver;
  readonly #options: ResolvedOptions;
  /** This process's name, unique among all that share the broker: letters and digits. It stands in the name of each of its channels. */
  readonly process: string;
  readonly #names: NameRule;
  readonly #here: ProcessChannels;
  readonly #channels: Channels;
  readonly #queues: QueueReaders;
  readonly #rooms: Rooms;
  readonly #groups: Groups;
  readonly #inbox: Inbox;
  readonly #memberships: Memberships;
  readonly #leases: Leases;
  readonly #peers: Peers;
  readonly #faults: FaultLog;
  readonly #accepted = (): { position?: string } => {
    this.stats.published += 1;
    return {};
  };
  #status: LayerStatus = { state: 'away', since: new Date() };
  #reachable: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** Use {@link openLayer}. */
  constructor(driver: Driver, options: ResolvedOptions, process: string) {
    this.#driver = driver;
    this.#options = options;
    this.process = process;
    this.#names = driver.capabilities.names ?? NAMES;
    this.#here = new ProcessChannels(process, { ...options, names: this.#names }, this.stats);
    this.#queues = new QueueReaders(driver, options.logger, this.stats);
    this.#rooms = new Rooms(driver, options, this.stats);
    this.#groups = new Groups(driver, this.#here, options, this.stats);
    this.#inbox = new Inbox(process, driver, this.#here, this.stats, (request) => this.#memberships.changeHere(request));
    this.#channels = new Channels(process, driver, options, { here: this.#here, queues: this.#queues, inbox: this.#inbox });
    this.#memberships = new Memberships(process, driver, {
      groups: this.#groups,
      here: this.#here,
      inbox: this.#inbox,
      checkReachable: () => checkReachable(this.#status),
      discarded: (group, queue) => this.#peers.tell({ discarded: [group, queue] }),
    });
    this.#leases = new Leases(process, driver, options, this.stats);
    this.records = new Records(driver, options, this.stats, () => checkReachable(this.#status));
    this.#faults = new FaultLog(this.stats, options.logger);
    this.#peers = new Peers(process, driver, this.stats, {
      notice: (notice) => this.#onNotice(notice),
      fault: (kind, reason) => this.#onFault(kind, reason),
      missed: () => this.#rooms.missed(),
    });
  }

  get capabilities(): Capabilities {
    return this.#driver.capabilities;
  }

  get status(): LayerStatus {
    return describe(this.#status, this.#faults.reason, this.#peers.isPartitioned);
  }

  /** Whether another process on this layer was heard within its lease: false for one that has gone, or has been silent for 30 s. */
  hears(process: string): boolean {
    return this.#peers.hears(process);
  }

  /** The topic on which any program reaches this process's channels: publish `{"channel":"<name>", …}` there with nothing but the broker's client. */
  get replyTopic(): string {
    return this.#driver.topicName({ kind: 'process', name: this.process });
  }

  /** Connects; called once, by {@link openLayer}. */
  async open(): Promise<void> {
    await this.#driver.open({
      state: (state, reason) => this.#onState(state, reason),
      fault: (kind, reason) => this.#onFault(kind, reason),
      dropped: (messages) => void (this.stats.droppedFull += messages),
      undecodable: (where) => {
        this.stats.undecodable += 1;
        this.#options.logger.warn('a payload could not be read and was skipped', { where });
      },
    });
    await this.#reachable;
  }

  /** A name that only this process listens to: `prefix.<process>!<id>`. It stays until {@link closeChannel}. */
  newChannel(prefix = 'specific'): string {
    checkOpen(this.#status);
    return this.#here.create(prefix);
  }

  /** Drops what waits in a channel of this process, ends its receives (CHANNEL_GONE) and takes it out of its groups. */
  async closeChannel(channel: string): Promise<void> {
    checkOpen(this.#status);
    this.#channels.checkOwn(channel);
    this.#here.remove(channel);
    await this.#groups.removeChannel(channel);
  }

  /**
   * Accepted once, in order; never waits for a reader. To a channel of another process it resolves when the broker has taken it, and that
   * process drops and counts it when the channel is full.
   * @throws LayerError CHANNEL_FULL, CHANNEL_GONE, INVALID_MESSAGE, MESSAGE_TOO_LARGE, INVALID_OPTION
   */
  async send(channel: string, message: Message, options?: SendOptions): Promise<void> {
    const address = channelAddress(channel, this.#names);
    const payload = encodeMessage(message, this.#options.maxMessageBytes);
    if (options !== undefined) checkSendOptions(options, this.#options);
    checkReachable(this.#status);
    await this.#channels.send(channel, address, payload, options);
  }

  /**
   * The oldest unexpired message, to one listener only; several take turns. Waits as long as it takes, also over a time without broker.
   * @throws LayerError FOREIGN_CHANNEL, CHANNEL_GONE; `signal.reason` when aborted
   */
  receive(channel: string, options: ReceiveOptions = {}): Promise<Message> {
    return this.#here.has(channel) ? this.#here.receive(channel, options.signal) : this.#receiveElsewhere(channel, options.signal);
  }

  /**
   * Calls the listener with each message of a channel as it comes, as far as its credit goes: what is beyond it waits in the channel. Several listeners take
   * turns, and a `receive` that waits comes first. It goes on over a time without broker, until it or the channel is closed.
   * @throws LayerError at once: FOREIGN_CHANNEL, CHANNEL_GONE, INVALID_NAME, INVALID_OPTION, LAYER_CLOSED, UNSUPPORTED
   */
  listen(channel: string, listener: ChannelListener, credit: Credit = {}): Listening {
    const most = resolveCredit(credit);
    checkOpen(this.#status);
    return this.#channels.listen(channel, listener, most);
  }

  /** Makes what readers of a worker queue need that have only their broker's client; now and then again: some brokers let go of it when nobody reads. */
  prepareQueue(queue: string): Promise<void> {
    return this.#channels.prepareQueue(queue, this.#status);
  }

  /**
   * Makes a channel a member for `groupExpiryMs` from now; adding again renews. A channel of another process: its owner is asked, and this
   * resolves when the owner's subscription is confirmed.
   * @throws LayerError CHANNEL_GONE, TIMEOUT
   */
  async groupAdd(group: string, channel: string): Promise<void> {
    await this.#memberships.change('add', group, channel);
  }

  /** Ends a membership; no error where there was none. */
  async groupDiscard(group: string, channel: string): Promise<void> {
    await this.#memberships.change('discard', group, channel);
  }

  /**
   * To every member, with one publish for all that live in processes. A full member is skipped and counted, the others are not held up. What one
   * process sends to a group arrives at each member in that order; a direct `send` may overtake it.
   */
  async groupSend(group: string, message: Message): Promise<GroupSendResult> {
    checkName('group', group, this.#names);
    const payload = encodeMessage(message, this.#options.maxMessageBytes);
    checkReachable(this.#status);
    requireCapability(this.capabilities, 'groups');
    const dropped = await this.#groups.send(group, payload);
    return dropped === undefined ? {} : { dropped };
  }

  /**
   * Listens to a room. Resolves once in effect, confirmed by the broker's node that this process is connected to. `since` first replays the
   * history, then goes live with neither gap nor duplicate; where that cannot be, the listener gets a gap and `recovered` is false.
   */
  async subscribe(room: string, listener: RoomListener, options: SubscribeOptions = {}): Promise<Subscription> {
    checkName('room', room, this.#names);
    checkReachable(this.#status);
    this.#historyOf(room);
    return this.#rooms.subscribe(room, listener, options.since);
  }

  /**
   * Reads what is kept of a room: what followed `since`, oldest first, or the newest `last` messages, or only where it stands. Where `since` is of another epoch, too
   * old or no position, `recovered` is false and what is still kept follows. Thousands who ask at once cost the broker a few readings; a process that listens to
   * the room answers what is recent by itself.
   * @throws LayerError UNSUPPORTED, naming a room that keeps no history; INVALID_OPTION
   */
  async history(room: string, since?: string, options: HistoryOptions = {}): Promise<HistoryReading> {
    const resolved = resolveHistoryOptions(options);
    return this.#rooms.history(room, this.#kept(room), since, resolved);
  }

  /**
   * Lets go of all that is kept of a room, in the broker and in every process. Subscribers notice nothing, and positions go on from where they stand; a `since` from
   * before is answered by a gap.
   * @throws LayerError UNSUPPORTED, naming a room that keeps no history
   */
  async purge(room: string): Promise<void> {
    await this.#driver.purge(room, this.#kept(room));
    this.#rooms.purged(room);
    await this.#peers.tell({ purged: room });
  }

  /**
   * Bytes as they are, to every subscriber of the room in every process, in order. With history it resolves with the position; and an `id` that was given with the
   * same room within 5 minutes, by whatever process, publishes nothing and resolves with the position of the first.
   * @throws LayerError MESSAGE_TOO_LARGE, INVALID_MESSAGE (neither string nor bytes), INVALID_OPTION; UNSUPPORTED for an `id` in a room without history
   */
  publish(room: string, payload: string | Uint8Array, { id, traceparent }: PublishOptions = {}): Promise<{ position?: string }> {
    try {
      checkName('room', room, this.#names);
      const bytes = encodePayload(payload, this.#options.maxMessageBytes);
      checkPublishOptions({ id, traceparent }, this.capabilities);
      checkReachable(this.#status);
      const rule = this.#historyOf(room);
      if (id !== undefined) requireHistory(this.capabilities, rule, room);
      if (rule === undefined) return this.#driver.publish({ kind: 'room', name: room }, bytes, traceparent).then(this.#accepted);
      if (id !== undefined) requireCapability(this.capabilities, 'publishIds');
      return this.#driver
        .append(room, bytes, rule, id === undefined ? undefined : idIn(room, id), traceparent)
        .then((position) => ({ ...this.#accepted(), position: formatPosition(position) }));
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /**
   * What others are to be told when this process dies: see {@link Lease}. Resolves once the broker has it. One a process is enough; as long as it has one it settles
   * what other processes held whose leases are over.
   * @throws LayerError INVALID_OPTION
   */
  async lease(options: LeaseOptions = {}): Promise<Lease> {
    checkReachable(this.#status);
    requireCapability(this.capabilities, 'leases');
    return this.#leases.open(options);
  }

  /** Looks at settings of the broker that lose messages, and at its clock: for an operator who asks what is to be changed. */
  async examine(): Promise<readonly Finding[]> {
    checkReachable(this.#status);
    return (await this.#driver.examine?.()) ?? [];
  }

  /** For tests: no message, membership, lease or record of this prefix is left, in the broker and in every process; other prefixes are untouched. */
  async flush(): Promise<void> {
    checkReachable(this.#status);
    this.#forgetAll();
    await this.#driver.flush();
    await this.#peers.tell({ flushed: true });
  }

  /** Lets go of everything: waits for calls under way, ends waiting receives (LAYER_CLOSED), closes every connection. Calling twice is no error. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    const connected = this.#status.state === 'connected';
    this.#status = { state: 'closed', since: new Date() };
    const reason = closed();
    this.#queues.close(reason);
    this.#here.close(reason);
    this.#inbox.close(reason);
    this.#rooms.close(reason);
    this.#groups.close();
    this.#peers.stop();
    await this.#leases.close();
    if (connected) await this.#peers.tell({ bye: true });
    await this.#driver.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #onNotice(notice: Notice): void {
    if ('flushed' in notice) this.#forgetAll();
    else if ('discarded' in notice) this.#groups.forgetQueue(...notice.discarded);
    else if ('purged' in notice) this.#rooms.purged(notice.purged);
  }

  #forgetAll(): void {
    this.#here.clear();
    this.#groups.clear();
    this.#rooms.forgetRecent();
    this.#leases.forget();
  }

  #onState(state: 'connected' | 'away', reason: string | undefined): void {
    if (this.#status.state === 'closed') return;
    if (state === 'away') {
      this.#options.logger.warn('the broker is away', { reason });
      this.#faults.away(reason ?? 'the broker is away');
    } else {
      this.#options.logger.info('the layer is connected');
      this.#faults.connected();
    }
    if (state === this.#status.state) return;
    this.#status = { state, since: new Date() };
    if (state === 'connected') this.#onConnected();
    else this.#leases.away();
  }

  #onFault(kind: LayerFault, reason: string): void {
    if (this.#status.state !== 'closed') this.#faults.tell(kind, reason);
  }

  #onConnected(): void {
    this.stats.connects += 1;
    if (this.stats.connects > 1) this.#inbox.returned();
    this.#reachable = this.stats.connects === 1 || this.#reachable === undefined ? this.#becomeReachable() : this.#groups.reconnected();
    this.#rooms.reconnected();
    this.#leases.connected();
  }

  /** Subscribes what other processes reach this one by; the driver keeps it from then on. Where the broker left meanwhile, its return begins anew. */
  async #becomeReachable(): Promise<void> {
    try {
      await this.#driver.subscribe({ kind: 'process', name: this.process }, this.#inbox);
      await this.#peers.start();
    } catch (error) {
      this.#reachable = undefined;
      this.#options.logger.warn('other processes cannot reach this one yet: its topics could not be subscribed', { error: String(error) });
    }
  }

  #kept(room: string): HistoryRule {
    checkName('room', room, this.#names);
    checkReachable(this.#status);
    const rule = this.#historyOf(room);
    requireHistory(this.capabilities, rule, room);
    return rule;
  }

  #historyOf(room: string): HistoryRule | undefined {
    const rule = historyRule(this.#options.history, room);
    if (rule !== undefined) requireCapability(this.capabilities, 'history');
    return rule;
  }

  /** Names are checked before anything else, and rejections come later, never at once. */
  async #receiveElsewhere(channel: string, signal: AbortSignal | undefined): Promise<Message> {
    channelAddress(channel, this.#names);
    checkOpen(this.#status);
    return this.#channels.receive(channel, signal);
  }
}
