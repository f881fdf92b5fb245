import { setTimeout as delay } from 'node:timers/promises';
import type { BrokerClock } from './broker-clock.ts';
import { isWrongSequence, type LeaseStates, type WrittenLease } from './lease-states.ts';
import { LeaseWatch } from './lease-watch.ts';
import type { Session } from './session.ts';

/** How long it is remembered at least that a lease has ended. */
const REMEMBERED_MS = 86_400_000;

/** Finds the leases that are over, and ends them. */
export class OverdueLeases {
  readonly #states: LeaseStates;
  readonly #clock: BrokerClock;
  readonly #watch = new LeaseWatch();
  readonly #learnt = new WeakMap<Session, Promise<void>>();

  constructor(states: LeaseStates, clock: BrokerClock) {
    this.#states = states;
    this.#clock = clock;
  }

  /** Over, or ended and not settled. To be asked often, from when silence is to count; `ownMs`: how long leases last that this process has. Those that last longer than the shortest and stand in the way of others are passed by. */
  async all(session: Session, ownMs: readonly number[]): Promise<readonly string[]> {
    const shortestMs = Math.min(...ownMs);
    this.#watch.lasts(Math.max(0, ...ownMs));
    await this.#learn(session);
    await this.#look(session, shortestMs);
    const nextMs = this.#watch.nextSilentMs(shortestMs);
    if (nextMs !== undefined && this.#watch.overdue.length === 0) {
      // So that it is settled at once.
      await delay(Math.ceil(nextMs) + 1, undefined, { ref: false });
      await this.#look(session, shortestMs);
    }
    return this.#watch.overdue;
  }

  hasEnded(lease: string): boolean {
    return this.#watch.hasEnded(lease);
  }

  /** Marks a lease as ended where nobody has renewed it for as long as it lasts. True where this process did so, false where it is not over, or another one was quicker. */
  async end(session: Session, lease: string): Promise<boolean> {
    const found = await this.#states.of(session, lease);
    if (found?.state === 'ended') this.#watch.end(lease);
    if (found === undefined || found.state === 'ended') return false;
    // Where the stream was made anew since its state was counted, that is seen here.
    if (!(await this.#reach(session)) || !this.#watch.isSilent(found.state, found.sequence)) return false;
    try {
      await this.#states.write(session, lease, 'ended', found.sequence);
    } catch (error) {
      if (!isWrongSequence(error)) throw error;
      return false;
    }
    this.#watch.end(lease);
    return true;
  }

  /** All that it held has been settled. */
  settled(lease: string): void {
    this.#watch.settled(lease);
  }

  /** Which leases have ended, and where those stand that live. Once a connection: the silence of all of them is counted anew. */
  #learn(session: Session): Promise<void> {
    const known = this.#learnt.get(session);
    if (known !== undefined) return known;
    const learnt = this.#begin(session);
    this.#learnt.set(session, learnt);
    learnt.catch(() => this.#learnt.delete(session));
    return learnt;
  }

  async #begin(session: Session): Promise<void> {
    this.#watch.begin();
    const all = await this.#states.all(session);
    if (all === undefined) return;
    const unknown = all.leases.filter((lease) => !this.#watch.hasEnded(lease));
    const written = (await Promise.all(unknown.map((lease) => this.#states.of(session, lease)))).filter((found) => found !== undefined);
    const ended = written.filter(({ state }) => state === 'ended');
    if (ended.length > 0) await this.#clock.set(session);
    await Promise.all(ended.map((found) => this.#learnEnd(session, found)));
    const living = written.filter(({ state }) => state !== 'ended').map(({ sequence }) => sequence);
    this.#watch.begin(Math.min(all.stream.state.last_seq + 1, ...living));
    this.#watch.reached(all.stream.state.last_seq, all.stream.created);
  }

  /** What ended long enough ago is forgotten by everybody. */
  async #learnEnd(session: Session, { lease, time }: WrittenLease): Promise<void> {
    if (this.#clock.now() - time < REMEMBERED_MS) this.#watch.end(lease);
    else await this.#states.forget(session, lease);
  }

  /** Reads as far as leases may be over. Where all live that is the one that was renewed the longest ago, however many there are. */
  async #look(session: Session, shortestMs: number): Promise<void> {
    if (!(await this.#reach(session))) return;
    await Promise.all(this.#watch.silent.map(async (lease) => this.#watch.lookedAt(lease, await this.#states.of(session, lease))));
    for (let isLate = this.#watch.mayBeLate(shortestMs); isLate;) {
      const found = await this.#states.oldest(session, this.#watch.from);
      isLate = found !== undefined && this.#watch.found(found, shortestMs);
    }
  }

  /** Notes how far the stream has come; false where there is none. */
  async #reach(session: Session): Promise<boolean> {
    const stream = await this.#states.stream(session);
    if (stream === undefined) this.#watch.begin();
    else this.#watch.reached(stream.state.last_seq, stream.created);
    return stream !== undefined;
  }
}
