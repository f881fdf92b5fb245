import { Buffer } from 'node:buffer';
import type { LastMessage, LeaseAnswer, LeaseRecord, LeaseStore } from '@busgate/layer/driver';
import type { Keys } from './keys.ts';
import { push } from './push.ts';
import { SCRIPTS, type Runner } from './scripts.ts';

const LINE_FEED = '\n';

/** Where leases are kept. */
export interface LeasePlace {
  /** Whether one server has all keys, so that a record is settled in one step. */
  readonly isOneServer: boolean;
  on(key: string): Runner;
}

/**
 * Leases by Redis's clock. On one server a record and its message are one script; on a cluster their slots differ, so the message is pushed with its id
 * first and the record goes after it: whoever repeats that pushes an id that was seen.
 */
export class RedisLeases implements LeaseStore {
  readonly #place: LeasePlace;
  readonly #keys: Keys;

  constructor(place: LeasePlace, keys: Keys) {
    this.#place = place;
    this.#keys = keys;
  }

  /** The list comes first: a lease that is not in it would never be settled. */
  async grant(lease: string, ttlMs: number): Promise<void> {
    await this.#list('', lease, ttlMs);
    await this.#run('leaseGrant', lease, ttlMs);
  }

  async renew(lease: string, ttlMs: number): Promise<LeaseAnswer> {
    return answer(await this.#run('leaseRenew', lease, ttlMs));
  }

  async hold(lease: string, records: readonly LeaseRecord[]): Promise<LeaseAnswer> {
    return answer(await this.#run('leaseHold', lease, ...records.flatMap((record) => [record.key, write(record)])));
  }

  async settle(lease: string, key: string, message?: LastMessage): Promise<LeaseAnswer> {
    if (message === undefined) return answer(await this.#run('leaseSettle', lease, key));
    const { queue, payload, expiryMs } = message;
    if (this.#place.isOneServer) return answer(await this.#run('leaseSettle', lease, key, this.#keys.queue(queue), expiryMs, Buffer.from(payload)));
    const [found, record] = (await this.#run('leaseFind', lease, key)) as [Buffer, Buffer?];
    const held = record && read(record);
    if (held === undefined) return answer(found);
    const isFirst = await this.#push({ ...message, id: held.id });
    await this.#forget(lease, [key]);
    if (isFirst) return 'done';
    const [now] = (await this.#run('leaseFind', lease, key)) as [Buffer];
    return answer(now) === 'ended' ? 'ended' : 'done';
  }

  async release(lease: string): Promise<void> {
    const [state, records] = this.#keysOf(lease);
    await this.#place.on(state).run('del', state, records);
    await this.#place.on(this.#keys.leases).run('zrem', this.#keys.leases, lease);
  }

  async overdue(): Promise<readonly string[]> {
    const listed = (await this.#list()) as Buffer[];
    if (listed.length === 0) return [];
    const looked = await Promise.all(listed.map(async (lease) => [String(lease), String(await this.#run('leaseLook', String(lease)))] as const));
    await this.#list(...looked.flat());
    return looked.filter(([, found]) => found === 'over').map(([lease]) => lease);
  }

  async settleEnded(lease: string, most: number): Promise<number> {
    if (this.#place.isOneServer) return (await this.#run('leaseSettleEnded', lease, most, this.#keys.queue(''))) as number;
    const found = (await this.#run('leaseSettleEnded', lease, most)) as Buffer[];
    const keys = found.filter((_, index) => index % 2 === 0).map(String);
    const settled = await Promise.allSettled(keys.map((_, index) => this.#pushRecord(found[index * 2 + 1] as Buffer)));
    const done = keys.filter((_, index) => settled[index]?.status === 'fulfilled');
    if (done.length > 0) await this.#forget(lease, done);
    const failed = settled.find((result) => result.status === 'rejected');
    if (failed !== undefined && done.length === 0) throw failed.reason;
    return done.length;
  }

  /** What others have put in the place of a record has nothing to be pushed. */
  async #pushRecord(written: Buffer): Promise<void> {
    const record = read(written);
    if (record !== undefined) await this.#push(record);
  }

  /** False where the id was seen: somebody else was first. */
  async #push({ queue, payload, expiryMs, id }: Omit<LeaseRecord, 'key'>): Promise<boolean> {
    const key = this.#keys.queue(queue);
    const outcome = await push(this.#place.on(key), key, 0, [{ payload: Buffer.from(payload), options: { expiryMs, id, exempt: true } }]);
    return outcome(0) === 'appended';
  }

  async #forget(lease: string, keys: readonly string[]): Promise<void> {
    const [, records] = this.#keysOf(lease);
    await this.#place.on(records).run('hdel', records, ...keys);
  }

  #run(script: LeaseScript, lease: string, ...args: (string | number | Buffer)[]): Promise<unknown> {
    const keys = this.#keysOf(lease);
    return SCRIPTS[script].run(this.#place.on(keys[0]), keys, ...args);
  }

  #list(...args: (string | number)[]): Promise<unknown> {
    return SCRIPTS.leases.run(this.#place.on(this.#keys.leases), this.#keys.leases, ...args);
  }

  #keysOf(lease: string): readonly [state: string, records: string] {
    return [this.#keys.lease(lease, 'state'), this.#keys.lease(lease, 'records')];
  }
}

type LeaseScript = 'leaseGrant' | 'leaseRenew' | 'leaseHold' | 'leaseSettle' | 'leaseFind' | 'leaseSettleEnded' | 'leaseLook';

function answer(reply: unknown): LeaseAnswer {
  return String(reply) as LeaseAnswer;
}

/** `<ms that the message lives> <queue> <id>`, a line feed, the message. */
function write({ expiryMs, queue, id, payload }: LeaseRecord): Buffer {
  return Buffer.concat([Buffer.from(`${expiryMs} ${queue} ${id}${LINE_FEED}`), payload]);
}

/** Undefined for what is none. */
function read(record: Buffer): Omit<LeaseRecord, 'key'> | undefined {
  const end = record.indexOf(LINE_FEED);
  const [, expiryMs, queue, id] = /^(\d+) (\S+) (.*)$/.exec(record.toString('latin1', 0, Math.max(end, 0))) ?? [];
  if (expiryMs === undefined || queue === undefined || id === undefined) return undefined;
  return { expiryMs: Number(expiryMs), queue, id, payload: record.subarray(end + 1) };
}
