import { SYSTEM_CLOCK, type Clock } from './clock.ts';
import { encodeMessage } from './codec.ts';
import type { HeldMessage, LayerStats, Lease, LeaseOptions, Message, ResolvedOptions } from './contract.ts';
import type { Driver } from './driver/driver.ts';
import type { LastMessage, LeaseRecord, LeaseStore } from './driver/leases.ts';
import { LayerError, isLayerError } from './errors.ts';
import { ProcessLease } from './lease.ts';
import { channelAddress, checkName, NAMES, type NameRule } from './names.ts';
import { LONGEST_EXPIRY_MS, checkSendOptions, resolveTtl } from './options.ts';

/** Leases that are over are looked for so many times within the time of one: what a process held is settled within a tenth of it. */
const LOOKS = 20;
/** Records of another process that are settled in one step. */
const SLICE = 100;

/** The leases of this process; as long as one of them lives, it settles what those held that are over. */
export class Leases {
  readonly #process: string;
  readonly #driver: Driver;
  readonly #options: ResolvedOptions;
  readonly #stats: LayerStats;
  readonly #names: NameRule;
  readonly #clock: Clock;
  readonly #leases = new Set<ProcessLease>();
  #granted = 0;
  #cancelLook: (() => void) | undefined;

  constructor(process: string, driver: Driver, options: ResolvedOptions, stats: LayerStats, clock: Clock = SYSTEM_CLOCK) {
    this.#process = process;
    this.#driver = driver;
    this.#options = options;
    this.#stats = stats;
    this.#names = driver.capabilities.names ?? NAMES;
    this.#clock = clock;
  }

  async open(options: LeaseOptions): Promise<Lease> {
    const store = this.#store();
    const context = { store, stats: this.#stats, logger: this.#options.logger, clock: this.#clock, over: (ended: ProcessLease) => this.#remove(ended) };
    this.#granted += 1;
    const lease = await ProcessLease.grant(`${this.#process}-${this.#granted}`, resolveTtl(options), context);
    this.#leases.add(lease);
    this.#lookLater();
    return this.#asLease(lease);
  }

  /** The broker left. */
  away(): void {
    for (const lease of this.#leases) lease.away();
  }

  connected(): void {
    for (const lease of this.#leases) lease.connected();
  }

  /** Everything was deleted in the broker. */
  forget(): void {
    for (const lease of this.#leases) lease.forget();
  }

  /** Settles what is held. Where the broker is away others will. */
  async close(): Promise<void> {
    this.#cancelLook?.();
    const closed = await Promise.allSettled([...this.#leases].map((lease) => lease.close()));
    for (const result of closed) {
      if (result.status === 'rejected') this.#options.logger.warn('a lease could not be settled: others will', { error: String(result.reason) });
    }
  }

  #asLease(lease: ProcessLease): Lease {
    const close = (): Promise<void> => lease.close();
    return {
      lost: lease.lost,
      hold: async (key, held) => lease.hold(this.#checkKey(key), this.#draft(held)),
      settle: async (key, message, { channel } = {}) => {
        const payload = message === undefined ? undefined : this.#encode(message);
        const queue = channel === undefined ? undefined : this.#queueOf(channel);
        return lease.settle(this.#checkKey(key), (record) => lastMessage(record, payload, queue));
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  }

  #remove(lease: ProcessLease): void {
    this.#leases.delete(lease);
    if (this.#leases.size > 0) return;
    this.#cancelLook?.();
    this.#cancelLook = undefined;
  }

  #checkKey(key: string): string {
    checkName('key', key);
    return key;
  }

  #draft({ channel, message, expiryMs = LONGEST_EXPIRY_MS }: HeldMessage): LastMessage {
    const queue = this.#queueOf(channel);
    checkSendOptions({ expiryMs }, this.#options);
    return { queue, payload: this.#encode(message), expiryMs };
  }

  #queueOf(channel: string): string {
    const address = channelAddress(channel, this.#names);
    if ('queue' in address) return address.queue;
    throw new LayerError('INVALID_NAME', `channel ${channel} belongs to a process: a lease holds messages to worker queues alone`);
  }

  #encode(message: Message): Uint8Array {
    return encodeMessage(message, this.#options.maxMessageBytes);
  }

  #lookLater(): void {
    const ttlMs = Math.min(...[...this.#leases].map((lease) => lease.ttlMs));
    if (this.#leases.size > 0) this.#cancelLook ??= this.#clock.after(ttlMs / LOOKS, () => void this.#look());
  }

  async #look(): Promise<void> {
    try {
      await this.#settleOverdue();
    } catch (error) {
      if (!isLayerError(error, 'LAYER_AWAY')) this.#options.logger.warn('what a dead process held could not be settled yet', { error: String(error) });
    } finally {
      this.#cancelLook = undefined;
      this.#lookLater();
    }
  }

  /** Asks before this process may settle, too: where the broker has no clock, its driver counts from then on. */
  async #settleOverdue(): Promise<void> {
    const store = this.#store();
    const own = new Set([...this.#leases].map(({ name }) => name));
    for (const name of await store.overdue()) {
      if (own.has(name)) continue;
      for (let settled = 1; settled > 0 && this.#maySettle;) {
        settled = await store.settleEnded(name, SLICE);
        this.#stats.recordsSettled += settled;
      }
    }
  }

  get #maySettle(): boolean {
    for (const lease of this.#leases) if (lease.maySettleOthers) return true;
    return false;
  }

  #store(): LeaseStore {
    const { leases } = this.#driver;
    if (leases === undefined) throw new TypeError('a driver that declares leases has none');
    return leases;
  }
}

function lastMessage({ queue, expiryMs }: LeaseRecord, payload: Uint8Array | undefined, other = queue): LastMessage | undefined {
  return payload === undefined ? undefined : { queue: other, expiryMs, payload };
}
