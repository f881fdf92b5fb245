import type { Clock } from './clock.ts';
import type { LayerLogger, LayerStats } from './contract.ts';
import type { LastMessage, LeaseAnswer, LeaseRecord, LeaseStore } from './driver/leases.ts';
import { LayerError } from './errors.ts';
import { KeyedLock } from './lock.ts';

/** A lease is renewed so many times within its own time. */
const RENEWALS = 5;
/** Records that are under way at a time. */
const SLICE = 100;

/** What is held under a key. */
interface Hold {
  readonly record: LeaseRecord;
  /** It was to be settled so, and whether that was done is not known. */
  ending?: { readonly message: LastMessage | undefined };
}

export interface LeaseContext {
  readonly store: LeaseStore;
  readonly stats: LayerStats;
  readonly logger: LayerLogger;
  readonly clock: Clock;
  /** Called when the lease holds nothing any more and is renewed no more. */
  readonly over: (lease: ProcessLease) => void;
}

/**
 * One lease of this process. Calls of one key take place one after the other. The process remembers what it holds: a broker that lost it is told again, and what
 * could not be done while it was away is done when it answers.
 */
export class ProcessLease {
  readonly name: string;
  readonly ttlMs: number;
  readonly #context: LeaseContext;
  readonly #holds = new Map<string, Hold>();
  /** Keys of which the broker may have something else than is held here. */
  readonly #unsure = new Set<string>();
  readonly #lock = new KeyedLock();
  readonly #lost = new AbortController();
  /** When the last renewal that was confirmed was asked for. */
  #confirmedAt: number;
  /** Since when every renewal has come in time, over one connection. */
  #steadySince: number;
  /** When the broker was away last. */
  #brokeAt = -Infinity;
  #renewing: Promise<void> | undefined;
  /** The broker has lost records, and has not been told all of them again. */
  #rewrites = false;
  #makingSure = false;
  #cancel: () => void;
  #written = 0;
  #closing: Promise<void> | undefined;

  private constructor(name: string, ttlMs: number, grantedAt: number, context: LeaseContext) {
    this.name = name;
    this.ttlMs = ttlMs;
    this.#context = context;
    this.#confirmedAt = grantedAt;
    this.#steadySince = grantedAt;
    this.#cancel = context.clock.after(ttlMs / RENEWALS, () => this.#tick());
  }

  static async grant(name: string, ttlMs: number, context: LeaseContext): Promise<ProcessLease> {
    const asked = context.clock.now();
    await context.store.grant(name, ttlMs);
    return new ProcessLease(name, ttlMs, asked, context);
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Whether this process may settle what others held: it lives itself, for certain, and has been heard for so long that everybody else could be too. */
  get maySettleOthers(): boolean {
    const now = this.#context.clock.now();
    return this.#closing === undefined && !this.lost.aborted && now - this.#confirmedAt < this.ttlMs && now - this.#steadySince >= this.ttlMs;
  }

  hold(key: string, draft: LastMessage): Promise<void> {
    return this.#lock.run(key, async () => {
      this.#checkHolds();
      const before = await this.#holdOf(key);
      const record = { key, id: before?.record.id ?? this.#newId(), ...draft };
      this.#holds.set(key, { record });
      try {
        await this.#write(record);
      } catch (error) {
        if (this.lost.aborted) throw this.lost.reason;
        if (before === undefined) this.#holds.delete(key);
        else this.#holds.set(key, before);
        this.#unsure.add(key);
        throw error;
      }
    });
  }

  settle(key: string, messageOf: (record: LeaseRecord) => LastMessage | undefined): Promise<boolean> {
    return this.#lock.run(key, async () => {
      const hold = this.#holds.get(key);
      if (hold === undefined) return false;
      hold.ending = { message: messageOf(hold.record) };
      return this.#settleAsAsked(key, hold);
    });
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  /** The broker left. */
  away(): void {
    this.#brokeAt = this.#context.clock.now();
    this.#steadySince = Infinity;
  }

  /** The broker is back: before anything else it is told that this process lives. */
  connected(): void {
    void this.#attend();
  }

  /** Everything was deleted in the broker: nothing is held any more. */
  forget(): void {
    this.#holds.clear();
    this.#unsure.clear();
  }

  async #close(): Promise<void> {
    try {
      if (this.lost.aborted) return;
      await inSlices([...this.#holds.keys()], (key) => this.settle(key, (record) => (this.#holds.get(key)?.ending ?? { message: record }).message));
      await this.#context.store.release(this.name);
    } finally {
      // What could not be settled others will, once it is over.
      this.#stop();
    }
  }

  #stop(): void {
    this.#cancel();
    this.#holds.clear();
    this.#unsure.clear();
    this.#context.over(this);
  }

  #checkHolds(): void {
    if (this.lost.aborted) throw this.lost.reason;
    if (this.#closing !== undefined) throw new LayerError('LAYER_CLOSED', 'the lease has been closed');
  }

  #newId(): string {
    this.#written += 1;
    return `lease!${this.name} ${this.#written}`;
  }

  /** What is held under a key, once what was to be its end is over: a new record must not bear the id of one that was queued. */
  async #holdOf(key: string): Promise<Hold | undefined> {
    const hold = this.#holds.get(key);
    if (hold?.ending === undefined) return hold;
    await this.#settleAsAsked(key, hold);
    return undefined;
  }

  /** True where this process took the record. */
  async #settleAsAsked(key: string, hold: Hold): Promise<boolean> {
    try {
      const taken = await this.#takeAway(hold.record, hold.ending?.message);
      this.#holds.delete(key);
      this.#unsure.delete(key);
      return taken;
    } catch (error) {
      this.#unsure.add(key);
      throw error;
    }
  }

  /** A record that the broker has lost, or that was taken by an answer that was lost, is written again first: its message is queued once in any case. */
  async #takeAway(record: LeaseRecord, message: LastMessage | undefined): Promise<boolean> {
    const { store } = this.#context;
    const answer = this.#heedEnd(await store.settle(this.name, record.key, message));
    if (answer !== 'missing') return answer === 'done';
    await this.#write(record);
    return !this.lost.aborted && this.#heedEnd(await store.settle(this.name, record.key, message)) === 'done';
  }

  async #write(record: LeaseRecord): Promise<void> {
    const { store } = this.#context;
    let answer = this.#heedEnd(await store.hold(this.name, [record]));
    if (answer === 'missing') {
      await this.#renew();
      if (!this.lost.aborted) answer = this.#heedEnd(await store.hold(this.name, [record]));
    }
    if (answer === 'missing' && !this.lost.aborted) throw new LayerError('OUTCOME_UNKNOWN', `lease ${this.name} is lost by the broker again and again`);
    if (this.lost.aborted) throw this.lost.reason;
  }

  #heedEnd(answer: LeaseAnswer): LeaseAnswer {
    if (answer === 'ended') this.#tellLost();
    return answer;
  }

  #tick(): void {
    this.#cancel = this.#context.clock.after(this.ttlMs / RENEWALS, () => this.#tick());
    void this.#attend();
  }

  async #attend(): Promise<void> {
    try {
      await this.#renew();
      await this.#makeSure();
    } catch {
      // The broker is away, or did not answer: the next renewal, or its return, goes on with it.
    }
  }

  /** Waits for no call under way, so that each of them may wait for it. */
  #renew(): Promise<void> {
    return (this.#renewing ??= this.#renewOnce().finally(() => {
      this.#renewing = undefined;
    }));
  }

  async #renewOnce(): Promise<void> {
    if (this.lost.aborted) return;
    const { store, clock } = this.#context;
    const asked = clock.now();
    const answer = this.#heedEnd(await store.renew(this.name, this.ttlMs));
    if (answer === 'ended' || (answer === 'missing' && !(await this.#grantAnew()))) return;
    if (this.#rewrites) await this.#rewrite();
    this.#confirm(asked);
  }

  #confirm(asked: number): void {
    const late = asked - this.#confirmedAt > this.ttlMs / 2 || this.#brokeAt > this.#confirmedAt;
    if (late) this.#steadySince = asked;
    this.#confirmedAt = asked;
  }

  /** The broker has lost the lease. Where others could have settled it before, since this process stood still for so long, it is lost: then false. */
  async #grantAnew(): Promise<boolean> {
    const until = this.#brokeAt > this.#confirmedAt ? this.#brokeAt : this.#context.clock.now();
    if (until - this.#confirmedAt > this.ttlMs) {
      this.#tellLost();
      return false;
    }
    await this.#context.store.grant(this.name, this.ttlMs);
    this.#rewrites = true;
    return true;
  }

  /** Writes all that is held again, but for what is just being settled: that sees for itself whether it is there. */
  async #rewrite(): Promise<void> {
    const keys = [...this.#holds.keys()];
    for (let from = 0; from < keys.length; from += SLICE) {
      const holds = keys.slice(from, from + SLICE).map((key) => this.#holds.get(key));
      const records = holds.flatMap((hold) => (hold === undefined || hold.ending !== undefined ? [] : [hold.record]));
      if (records.length > 0) this.#heedEnd(await this.#context.store.hold(this.name, records));
    }
    this.#rewrites = false;
  }

  async #makeSure(): Promise<void> {
    if (this.#makingSure) return;
    this.#makingSure = true;
    try {
      await inSlices([...this.#unsure], (key) => this.#lock.run(key, () => this.#makeSureOf(key)));
    } finally {
      this.#makingSure = false;
    }
  }

  async #makeSureOf(key: string): Promise<void> {
    if (!this.#unsure.has(key) || this.lost.aborted) return;
    const hold = this.#holds.get(key);
    if (hold === undefined) this.#heedEnd(await this.#context.store.settle(this.name, key));
    else if (hold.ending === undefined) await this.#write(hold.record);
    else await this.#settleAsAsked(key, hold);
    this.#unsure.delete(key);
  }

  #tellLost(): void {
    if (this.lost.aborted) return;
    this.#context.stats.leasesLost += 1;
    this.#context.logger.error('a lease was lost: this process was not heard in time, and others have settled what it held', {
      lease: this.name,
      records: this.#holds.size,
    });
    this.#lost.abort(new LayerError('TIMEOUT', `lease ${this.name} was not renewed within ${this.ttlMs} ms: others have settled what it held`));
    this.#stop();
  }
}

async function inSlices(keys: readonly string[], step: (key: string) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < keys.length; from += SLICE) await Promise.all(keys.slice(from, from + SLICE).map(step));
}
