import { Body } from './body.ts';
import type { ProcessChannels } from './process-channels.ts';
import { SYSTEM_CLOCK, type Clock } from './clock.ts';
import type { LayerLogger, LayerStats } from './contract.ts';
import type { Driver, TopicSink } from './driver/driver.ts';
import { LayerError } from './errors.ts';
import { Linger } from './linger.ts';
import { KeyedLock } from './lock.ts';

const LINGER_MS = 1000;
const SWEEP_MS = 600_000;
/** A broker that lives may lose memberships too, by hand or by eviction: those that it keeps are looked after this often. */
const RENEW_MS = 10_000;

/** One group in this process: its members that live here, and when each membership ends. */
class Group implements TopicSink {
  readonly members = new Map<string, number>();
  readonly #channels: ProcessChannels;
  readonly #stats: LayerStats;
  readonly #ended: (channel: string) => void;
  readonly #clock: Clock;

  constructor(channels: ProcessChannels, stats: LayerStats, ended: (channel: string) => void, clock: Clock) {
    this.#channels = channels;
    this.#stats = stats;
    this.#ended = ended;
    this.#clock = clock;
  }

  message(payload: Uint8Array): void {
    const body = new Body(payload);
    const now = this.#clock.now();
    for (const [channel, endsAt] of this.members) {
      if (endsAt <= now || !this.#channels.has(channel)) this.#ended(channel);
      else if (!this.#channels.push(channel, body)) this.#stats.droppedFull += 1;
    }
  }

  /** Groups promise at most once, and have no place to tell a loss. */
  gap(): void {}

  dropEnded(): void {
    const now = this.#clock.now();
    for (const [channel, endsAt] of this.members) if (endsAt <= now || !this.#channels.has(channel)) this.#ended(channel);
  }
}

/**
 * Memberships. A channel of a process is kept by that process alone, which subscribes the group's topic while it has a member: when the process
 * dies they are gone with its subscription, and when the broker returns empty they are there again by themselves. Worker queues that are
 * members are kept by the broker, and renewed there by the process that added them when the broker was away, and from time to time where it can tell
 * an ended membership from a lost one.
 */
export class Groups {
  readonly #driver: Driver;
  readonly #channels: ProcessChannels;
  readonly #stats: LayerStats;
  readonly #logger: LayerLogger;
  readonly #expiryMs: number;
  readonly #groups = new Map<string, Group>();
  readonly #groupsOf = new Map<string, Set<string>>();
  readonly #queues = new Map<string, Map<string, number>>();
  readonly #lock = new KeyedLock();
  readonly #clock: Clock;
  #cancelSweep: (() => void) | undefined;
  #cancelRenewal: (() => void) | undefined;
  readonly #linger: Linger;

  constructor(
    driver: Driver,
    channels: ProcessChannels,
    settings: { groupExpiryMs: number; logger: LayerLogger },
    stats: LayerStats,
    clock: Clock = SYSTEM_CLOCK,
  ) {
    this.#driver = driver;
    this.#channels = channels;
    this.#expiryMs = settings.groupExpiryMs;
    this.#logger = settings.logger;
    this.#stats = stats;
    this.#clock = clock;
    this.#linger = new Linger(LINGER_MS, (group) => void this.#release(group), clock);
  }

  /** A channel of this process becomes a member; resolves when the group's topic is confirmed. */
  addLocal(name: string, channel: string): Promise<void> {
    return this.#lock.run(name, async () => {
      this.#linger.cancel(name);
      let group = this.#groups.get(name);
      if (group === undefined) {
        group = new Group(this.#channels, this.#stats, (ended) => this.#forget(name, ended), this.#clock);
        await this.#driver.subscribe({ kind: 'group', name }, group);
        this.#groups.set(name, group);
      }
      if (!this.#channels.has(channel)) {
        if (group.members.size === 0) this.#linger.start(name);
        throw new LayerError('CHANNEL_GONE', `channel ${channel} was closed before it was a member of ${name}`);
      }
      group.members.set(channel, this.#clock.now() + this.#expiryMs);
      const groups = this.#groupsOf.get(channel) ?? new Set();
      this.#groupsOf.set(channel, groups.add(name));
      this.#sweepLater();
    });
  }

  discardLocal(name: string, channel: string): Promise<void> {
    return this.#lock.run(name, async () => this.#forget(name, channel));
  }

  async addQueue(name: string, queue: string): Promise<void> {
    await this.#driver.addMember(name, queue);
    const queues = this.#queues.get(name) ?? new Map<string, number>();
    this.#queues.set(name, queues.set(queue, this.#clock.now() + this.#expiryMs));
    this.#sweepLater();
    this.#renewLater();
  }

  async discardQueue(name: string, queue: string): Promise<void> {
    this.forgetQueue(name, queue);
    await this.#driver.removeMember(name, queue);
  }

  /** Another process discarded it: this one renews it no more. */
  forgetQueue(name: string, queue: string): void {
    const queues = this.#queues.get(name);
    queues?.delete(queue);
    if (queues?.size === 0) this.#queues.delete(name);
  }

  /** Publishes once for all members in processes, and pushes to those that are worker queues; resolves with how many of these do not have it. */
  async send(name: string, payload: Uint8Array): Promise<number | undefined> {
    const { queues, dropped: byBroker } = await this.#driver.publishGroup(name, payload);
    if (queues.length === 0) {
      this.#stats.droppedFull += byBroker ?? 0;
      return byBroker;
    }
    const pushed = await Promise.allSettled(queues.map((queue) => this.#driver.push(queue, payload)));
    const full = pushed.filter((result) => result.status === 'fulfilled' && !result.value).length;
    const failed = pushed.filter((result) => result.status === 'rejected');
    this.#stats.droppedFull += full;
    // The others have it: to reject would have it sent to them again.
    if (failed.length > 0)
      this.#logger.warn('a message to a group did not reach all its queues', { group: name, failed: failed.length, error: String(failed[0]?.reason) });
    return full + failed.length;
  }

  /** The channel has been closed: it leaves all its groups. */
  async removeChannel(channel: string): Promise<void> {
    await Promise.all([...(this.#groupsOf.get(channel) ?? [])].map((name) => this.discardLocal(name, channel)));
  }

  /** The broker is back. Never rejects. */
  async reconnected(): Promise<void> {
    await this.renew().catch((error: unknown) => this.#logger.warn('memberships of queues could not be renewed', { error: String(error) }));
  }

  /** The broker was away and may have come back empty. What another process discarded meanwhile stays discarded. */
  async renew(): Promise<void> {
    const now = this.#clock.now();
    for (const [name, queues] of this.#queues) {
      for (const [queue, endsAt] of queues) {
        const ended = endsAt <= now || !(await this.#renewQueue(name, queue, endsAt - now));
        if (ended && queues.get(queue) === endsAt) this.forgetQueue(name, queue);
      }
    }
  }

  async #renewQueue(name: string, queue: string, leftMs: number): Promise<boolean> {
    if (this.#driver.renewMember !== undefined) return this.#driver.renewMember(name, queue, leftMs);
    await this.#driver.addMember(name, queue);
    return true;
  }

  /** Forgets every membership of this process. */
  clear(): void {
    for (const [name, group] of this.#groups) {
      group.members.clear();
      this.#linger.start(name);
    }
    this.#groupsOf.clear();
    this.#queues.clear();
  }

  close(): void {
    this.#linger.close();
    this.#cancelSweep?.();
    this.#cancelRenewal?.();
    this.#groups.clear();
    this.#groupsOf.clear();
    this.#queues.clear();
  }

  /** Memberships end also in groups that nobody sends to. */
  #sweepLater(): void {
    this.#cancelSweep ??= this.#clock.after(Math.min(this.#expiryMs, SWEEP_MS), () => this.#sweep());
  }

  #sweep(): void {
    this.#cancelSweep = undefined;
    const now = this.#clock.now();
    for (const group of this.#groups.values()) group.dropEnded();
    for (const [name, queues] of this.#queues) {
      for (const [queue, endsAt] of queues) if (endsAt <= now) this.forgetQueue(name, queue);
    }
    if (this.#groupsOf.size > 0 || this.#queues.size > 0) this.#sweepLater();
  }

  #renewLater(): void {
    if (this.#driver.renewMember === undefined || this.#queues.size === 0) return;
    this.#cancelRenewal ??= this.#clock.after(RENEW_MS, () => void this.#renewFromTimeToTime());
  }

  async #renewFromTimeToTime(): Promise<void> {
    // While the broker is away its return renews them.
    await this.renew().catch(() => undefined);
    this.#cancelRenewal = undefined;
    this.#renewLater();
  }

  #forget(name: string, channel: string): void {
    const groups = this.#groupsOf.get(channel);
    groups?.delete(name);
    if (groups?.size === 0) this.#groupsOf.delete(channel);
    const group = this.#groups.get(name);
    if (group?.members.delete(channel) === true && group.members.size === 0) this.#linger.start(name);
  }

  async #release(name: string): Promise<void> {
    try {
      await this.#lock.run(name, async () => {
        if (this.#groups.get(name)?.members.size !== 0) return;
        this.#groups.delete(name);
        await this.#driver.unsubscribe({ kind: 'group', name });
      });
    } catch (error) {
      this.#logger.warn('group could not be let go', { group: name, error: String(error) });
    }
  }
}
