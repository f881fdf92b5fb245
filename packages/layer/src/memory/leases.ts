import type { LastMessage, LeaseAnswer, LeaseRecord, LeaseStore } from '../driver/leases.ts';

/** How long it is remembered that a lease has ended. */
const REMEMBERED_MS = 86_400_000;

interface HeldLease {
  endsAt: number;
  /** Others settle it: when that is forgotten. */
  endedUntil: number | undefined;
  readonly records: Map<string, LeaseRecord>;
}

/** The leases of a {@link Bus}: each call is one step. */
export class MemoryLeases implements LeaseStore {
  readonly #push: (record: LastMessage, id: string) => void;
  readonly #now: () => number;
  readonly #leases = new Map<string, HeldLease>();

  constructor(push: (record: LastMessage, id: string) => void, now: () => number = () => performance.now()) {
    this.#push = push;
    this.#now = now;
  }

  async grant(lease: string, ttlMs: number): Promise<void> {
    this.#forgetEnded();
    this.#leases.set(lease, { endsAt: this.#now() + ttlMs, endedUntil: undefined, records: new Map() });
  }

  async renew(lease: string, ttlMs: number): Promise<LeaseAnswer> {
    return this.#change(lease, (held) => {
      held.endsAt = this.#now() + ttlMs;
      return true;
    });
  }

  async hold(lease: string, records: readonly LeaseRecord[]): Promise<LeaseAnswer> {
    return this.#change(lease, (held) => {
      for (const record of records) held.records.set(record.key, record);
      return true;
    });
  }

  async settle(lease: string, key: string, message?: LastMessage): Promise<LeaseAnswer> {
    return this.#change(lease, ({ records }) => {
      const record = records.get(key);
      if (record === undefined) return false;
      records.delete(key);
      if (message !== undefined) this.#push(message, record.id);
      return true;
    });
  }

  async release(lease: string): Promise<void> {
    this.#leases.delete(lease);
  }

  async overdue(): Promise<readonly string[]> {
    const now = this.#now();
    return [...this.#leases].filter(([, held]) => held.endsAt <= now && (held.endedUntil === undefined || held.records.size > 0)).map(([lease]) => lease);
  }

  async settleEnded(lease: string, most: number): Promise<number> {
    const held = this.#leases.get(lease);
    const now = this.#now();
    if (held === undefined || held.endsAt > now) return 0;
    held.endedUntil ??= now + REMEMBERED_MS;
    const records = [...held.records.values()].slice(0, most);
    for (const record of records) {
      held.records.delete(record.key);
      this.#push(record, record.id);
    }
    return records.length;
  }

  clear(): void {
    this.#leases.clear();
  }

  #change(lease: string, change: (held: HeldLease) => boolean): LeaseAnswer {
    const held = this.#leases.get(lease);
    if (held === undefined) return 'missing';
    if (held.endedUntil !== undefined) return 'ended';
    return change(held) ? 'done' : 'missing';
  }

  #forgetEnded(): void {
    const now = this.#now();
    for (const [lease, { endedUntil }] of this.#leases) if (endedUntil !== undefined && endedUntil <= now) this.#leases.delete(lease);
  }
}
