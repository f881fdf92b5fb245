import type { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { isLayerError, type Taken } from '@busgate/layer/driver';
import type { Broker } from '../broker.ts';
import type { Demand } from '../queue-form.ts';
import { SCRIPTS } from '../scripts.ts';
import { packOpenElement, readElement, writeElement } from './elements.ts';
import { flushCore } from './flush-core.ts';
import { Janitor, LOOK_MS } from './janitor.ts';
import { type DjangoMessage, toJson } from './messages.ts';
import { ChannelsNames } from './names.ts';
import { Serializer } from './serializer.ts';
import { SortedForm } from './sorted.ts';
import { LACKS, type ToWorkers, type Wire, type WireContext } from './wire.ts';

/** Memberships are written again at least this often, and five times before they would end: for Django that is a day. */
const RENEW_MS = 300_000;
/** So many messages may wait for a gateway, whatever the capacity of each of its channels: rooms and channels of all its sessions come this way. */
const GATEWAY_CAPACITY = 10_000;
const INBOX_BATCH = 1000;
/** Where a queue may not be read, it is tried again after this time. */
const REFUSED_MS = 1000;

/** `RedisChannelLayer`: a sorted set for each queue and each group. */
export class CoreWire implements Wire {
  readonly capabilities: Wire['capabilities'];
  readonly #context: WireContext;
  readonly #serializer: Serializer;
  readonly #elements: SortedForm;
  readonly #messages: SortedForm;
  readonly #janitors = new Map<Broker, Janitor>();
  /** The tag of each group that this process is a member of, and back. */
  readonly #tags = new Map<string, string>();
  readonly #groups = new Map<string, string>();
  readonly #closing = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  #issued = 0;
  #popped = 0;
  #reading: Promise<unknown> | undefined;
  /** Groups of which messages may have been lost, and that have not been told. */
  readonly #owed = new Set<string>();
  #settling: Promise<unknown> = Promise.resolve();

  constructor(context: WireContext) {
    this.#context = context;
    const { expiryMs } = context.options;
    this.#serializer = Serializer.forCore(context.format, expiryMs);
    this.#elements = new SortedForm(expiryMs, (element) => element);
    this.#messages = new SortedForm(expiryMs, (element) => this.#read(element));
    this.capabilities = {
      roomOrder: this.#sendsInOneStep ? 'total' : 'publisher',
      queues: true,
      waitsForProcesses: true,
      lacks: LACKS,
    };
    for (const host of context.ring.hosts) {
      this.#janitors.set(host, new Janitor(host.on(context.names.lives), context.names, context.options, () => this.#onLoss(host)));
    }
  }

  /** Nothing is joined before its name stands where a janitor finds it. */
  async start(): Promise<void> {
    const { ring, names } = this.#context;
    const watched = names.own('watch', names.process);
    for (const [host, janitor] of this.#janitors) {
      await janitor.sayAlive();
      await host.subscribe(watched, { sink: { gap: () => this.#onReturn(host, janitor) }, channels: new Map([[watched, { message() {} }]]) });
    }
    if (this.#reading !== undefined) return;
    this.#reading = Promise.all(ring.hosts.map((host) => this.#readInbox(host)));
    const renewMs = Math.min(RENEW_MS, this.#context.options.groupExpiryMs / 5);
    this.#timers.push(setInterval(() => this.#renew(), renewMs).unref(), setInterval(() => this.#sayAlive(), LOOK_MS).unref());
  }

  async joinGroup(group: string): Promise<void> {
    this.#issued += 1;
    const tag = this.#issued.toString(36);
    await this.#add(group, this.#context.names.member(tag));
    this.#tags.set(group, tag);
    this.#groups.set(tag, group);
  }

  async leaveGroup(group: string): Promise<void> {
    const tag = this.#tags.get(group);
    if (tag === undefined) return;
    this.#tags.delete(group);
    this.#groups.delete(tag);
    await this.removeMember(group, this.#context.names.member(tag));
  }

  /** Whether Redis can complete what was packed, for all members at once. */
  get #sendsInOneStep(): boolean {
    return this.#context.ring.hosts.length === 1 && this.#serializer.isPlain;
  }

  /** Where it is not one step, the members are asked for, and each queue has its own element. */
  async groupSend(group: string, message: DjangoMessage): Promise<ToWorkers> {
    const { ring, names, options, arrivals } = this.#context;
    const { capacity, expiryMs, groupExpiryMs } = options;
    const key = names.groupKey(group);
    const runner = ring.host(group).on(key);
    if (!this.#sendsInOneStep) {
      const element = (recipients: readonly string[]): Buffer => writeElement(this.#serializer, message, recipients);
      // What cannot be written is refused also where nobody is a member.
      element([]);
      const members = (await SCRIPTS.channelsMembers.run(runner, key, groupExpiryMs)) as Buffer[];
      return this.#sendToAll(group, members.map(String), element);
    }
    const open = packOpenElement(message);
    const limits = [capacity, this.#gatewayCapacity, expiryMs, groupExpiryMs];
    const reply = await SCRIPTS.channelsGroupSend.run(runner, key, names.prefix, open, randomBytes(8), ...limits);
    const [queues, full, processes, failed, why] = reply as [number, number, number, number, Buffer];
    if (failed > 0) this.#warnOf(group, failed, why.toString());
    if (processes > 0) arrivals.dropped(processes);
    return { queues, full };
  }

  async send(channel: string, message: DjangoMessage): Promise<boolean> {
    const element = writeElement(this.#serializer, message, channel.includes('!') ? channel : undefined);
    return this.#push(ChannelsNames.address(channel), element);
  }

  /** From all hosts, the first of them another one each time. */
  async pop(queue: string, demand: Demand, signal: AbortSignal): Promise<readonly Taken[]> {
    const { ring, queues, names } = this.#context;
    const key = names.queue(queue);
    const [only, ...others] = ring.hosts as [Broker, ...Broker[]];
    if (others.length === 0) return queues.pop(only, this.#messages, key, demand, signal);
    const enough = new AbortController();
    const either = AbortSignal.any([signal, enough.signal]);
    this.#popped += 1;
    const first = this.#popped % ring.hosts.length;
    const popping = [...ring.hosts.slice(first), ...ring.hosts.slice(0, first)].map(async (host) => {
      try {
        const taken = await queues.pop(host, this.#messages, key, demand, either);
        if (taken.length > 0) enough.abort();
        return taken;
      } catch (error) {
        enough.abort();
        throw error;
      }
    });
    const settled = await Promise.allSettled(popping);
    const taken = settled.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
    if (taken.length === 0) await Promise.all(popping);
    const surplus = taken.splice(demand.max + demand.ahead);
    await Promise.all(surplus.toReversed().map((item) => item.giveBack()));
    return taken;
  }

  async addMember(group: string, queue: string): Promise<void> {
    const { ring, names, options } = this.#context;
    const keys = [names.groupKey(group), names.addedTo(group)] as const;
    await SCRIPTS.channelsAddMember.run(ring.host(group).on(keys[0]), keys, queue, options.groupExpiryMs);
  }

  async removeMember(group: string, queue: string): Promise<void> {
    const key = this.#context.names.groupKey(group);
    await this.#context.ring.host(group).on(key).run('zrem', key, queue);
  }

  async renewMember(group: string, queue: string, leftMs: number): Promise<boolean> {
    const { ring, names, options } = this.#context;
    const keys = [names.groupKey(group), names.addedTo(group)] as const;
    return (await SCRIPTS.channelsRenewMember.run(ring.host(group).on(keys[0]), keys, queue, options.groupExpiryMs, leftMs)) === 1;
  }

  async flush(): Promise<void> {
    await Promise.all(this.#context.ring.shards().map((shard) => flushCore(shard, this.#context.names)));
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#closing.abort();
    this.#context.ring.changed();
    await Promise.all([...this.#tags].map(([group, tag]) => this.removeMember(group, this.#context.names.member(tag)).catch(() => undefined)));
    await Promise.all([...this.#janitors.values()].map((janitor) => janitor.leave()));
    await this.#reading;
  }

  async #add(group: string, channel: string): Promise<void> {
    const { ring, names, options } = this.#context;
    const key = names.groupKey(group);
    await SCRIPTS.channelsJoin.run(ring.host(group).on(key), key, channel, options.groupExpiryMs);
  }

  get #gatewayCapacity(): number {
    return Math.max(this.#context.options.capacity, GATEWAY_CAPACITY);
  }

  #renew(): void {
    for (const [group, tag] of this.#tags) this.#add(group, this.#context.names.member(tag)).catch(() => undefined);
  }

  #sayAlive(): void {
    for (const janitor of this.#janitors.values()) janitor.sayAlive().catch(() => undefined);
    if (this.#owed.size > 0) this.#settle();
  }

  /** The host was away, and may have come back empty. */
  #onReturn(host: Broker, janitor: Janitor): void {
    janitor.forget();
    this.#onLoss(host);
    janitor.sayAlive().catch(() => undefined);
  }

  /** Memberships on that host, and what waited there for this process, may be gone. */
  #onLoss(host: Broker): void {
    const { ring, names } = this.#context;
    const hasInbox = ring.host(names.inboxAddress) === host;
    for (const group of this.#tags.keys()) if (hasInbox || ring.host(group) === host) this.#owed.add(group);
    this.#settle();
  }

  /** Each group that is owed a gap is told it when this process is its member again; where that fails, it is tried with the next look. */
  #settle(): void {
    const settled = [...this.#owed].map(async (group) => {
      const tag = this.#tags.get(group);
      if (tag !== undefined) await this.#add(group, this.#context.names.member(tag));
      if (this.#owed.delete(group)) this.#context.arrivals.gap(group);
    });
    this.#settling = Promise.allSettled(settled);
  }

  /** A queue's elements are sent in one turn, so that two messages of this process to a group keep their order in each. */
  async #sendToAll(group: string, members: readonly string[], element: (recipients: readonly string[]) => Buffer): Promise<ToWorkers> {
    const recipients = new Map<string, string[]>();
    for (const member of members) {
      const address = ChannelsNames.address(member);
      const known = recipients.get(address);
      if (known === undefined) recipients.set(address, [member]);
      else known.push(member);
    }
    const addresses = [...recipients.keys()];
    const sent = await Promise.allSettled([...recipients].map(([address, names]) => this.#push(address, element(names))));
    const full = addresses.filter((_, index) => isFull(sent[index]));
    const failed = addresses.filter((_, index) => sent[index]?.status === 'rejected');
    if (failed.length > 0) this.#warnOf(group, failed.length, String(reasonOf(sent)));
    const missing = [...full, ...failed];
    const processes = missing.filter(isOfProcess).length;
    if (processes > 0) this.#context.arrivals.dropped(processes);
    return { queues: addresses.filter((address) => !isOfProcess(address)).length, full: missing.length - processes };
  }

  /** Others have the message: to reject would have it sent to them again. */
  #warnOf(group: string, failed: number, error: string): void {
    this.#context.options.logger.warn('a message to a group did not reach all its queues', { group, failed, error });
  }

  /** False where the queue is full. A process's own queue is where its process reads; what any reader takes goes to the hosts in turn, as readers go. */
  async #push(address: string, element: Buffer): Promise<boolean> {
    const { ring, names, options } = this.#context;
    const host = isOfProcess(address) ? ring.host(address) : ring.next(address);
    const key = names.queue(address);
    const limits = [options.capacity, this.#gatewayCapacity, options.expiryMs];
    return (await SCRIPTS.channelsSend.run(host.on(key), key, names.prefix, address, element, ...limits)) === 1;
  }

  /**
   * Takes what is for this process in batches: senders drop what passes their capacity, and one at a time is too slow in a burst. From every host: what
   * Python sends to one channel goes to any. After an outage its gap comes first.
   */
  async #readInbox(host: Broker): Promise<void> {
    const { queues, names, ring, options } = this.#context;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const taken = await queues.pop(host, this.#elements, names.inbox, { max: INBOX_BATCH, ahead: 0 }, signal);
        await ring.settled(host, signal);
        await this.#settling;
        for (const { payload } of taken) this.#arrived(payload as Buffer);
      } catch (error) {
        options.logger.error('what is sent to this process cannot be read; trying on', { error: String(error) });
        await setTimeout(REFUSED_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  #arrived(element: Buffer): void {
    const { arrivals, names } = this.#context;
    try {
      const { message, recipients } = readElement(this.#serializer, element);
      for (const channel of recipients) {
        const tag = ChannelsNames.tagOf(channel);
        const group = tag === undefined ? undefined : this.#groups.get(tag);
        if (group !== undefined) arrivals.group(group, message);
        else if (tag === undefined) arrivals.channel(channel, message);
      }
    } catch {
      arrivals.undecodable(names.inbox);
    }
  }

  #read(element: Buffer): Uint8Array {
    try {
      return toJson(readElement(this.#serializer, element).message);
    } catch {
      // The layer skips and counts what is no JSON.
      return element;
    }
  }
}

function isOfProcess(address: string): boolean {
  return address.endsWith('!');
}

/** Why the first one failed; throws where all have, as one whose answer was lost where there is such a one: it may have been done. */
function reasonOf(sent: readonly PromiseSettledResult<boolean>[]): unknown {
  const reasons = sent.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  if (reasons.length === sent.length) throw reasons.find((reason) => isLayerError(reason, 'OUTCOME_UNKNOWN')) ?? reasons[0];
  return reasons[0];
}

function isFull(sent: PromiseSettledResult<boolean> | undefined): boolean {
  return sent?.status === 'fulfilled' && !sent.value;
}
