import { Buffer } from 'node:buffer';
import { SYSTEM_CLOCK, type Clock } from './clock.ts';
import type { LayerStats, Life } from './contract.ts';
import type { Driver, Topic, TopicSink } from './driver/driver.ts';
import type { LayerFault } from './faults.ts';
import { isName } from './names.ts';

/** How often a process says that it lives, */
const HEARTBEAT_MS = 5000;
/** in a fleet of up to so many. In a larger one it does so less often, so that each hears about as many beats a second whatever the size of the fleet. */
const COMMON_FLEET = 20;
/** Never less often than this: a process of whatever fleet is found dead in three times as long. */
const SLOWEST_HEARTBEAT_MS = 60_000;
/** A process that is silent this long is taken for dead, or for three of its own heartbeats where those take longer. */
const LEASE_MS = 30_000;
/** A process that was not heard for so many of its heartbeats is not sent anything that can be asked of another one. */
const SILENT_BEATS = 3;
/** How long the number of a silent process's last beat is kept: should it be heard again, it was cut off and not dead. */
const MEMORY_MS = 3_600_000;

const CONTROL: Topic = { kind: 'control', name: 'processes' };

interface Peer {
  readonly beat: number;
  readonly heardAt: number;
  /** When its next beat is due, in milliseconds after this one. */
  readonly every: number;
}

/** What processes tell all others. */
export type Notice =
  | { readonly process: string; readonly beat: number; readonly every?: number }
  | { readonly process: string; readonly bye: true }
  | { readonly process: string; readonly flushed: true }
  | { readonly process: string; readonly discarded: readonly [group: string, queue: string] }
  | { readonly process: string; readonly purged: string };

export interface PeersEvents {
  notice(notice: Notice): void;
  fault(kind: LayerFault, reason: string): void;
  /** Messages of others were lost on their way, although both were connected. Told once, however many processes are heard again. */
  missed(): void;
}

/**
 * Who else shares this layer. Beats are numbered: one that was missed although its sender lived and this process was connected shows a partition
 * inside the broker.
 */
export class Peers implements TopicSink {
  readonly #process: string;
  readonly #driver: Driver;
  readonly #stats: LayerStats;
  readonly #events: PeersEvents;
  readonly #peers = new Map<string, Peer>();
  readonly #clock: Clock;
  #cancel: (() => void) | undefined;
  #beat = 0;
  /** The beat that is under way, and since when. */
  #sent: { readonly beat: number; readonly at: number } | undefined;
  /** Since when every beat of others is heard. */
  #listensSince = Infinity;
  #missedAt = -Infinity;
  #stopped = false;

  constructor(process: string, driver: Driver, stats: LayerStats, events: PeersEvents, clock: Clock = SYSTEM_CLOCK) {
    this.#process = process;
    this.#driver = driver;
    this.#stats = stats;
    this.#events = events;
    this.#clock = clock;
  }

  /** Whether a beat of a living process was missed within the last lease. */
  get isPartitioned(): boolean {
    return this.#clock.now() - this.#missedAt < LEASE_MS;
  }

  /** Whether that process was heard within its lease. */
  hears(process: string): boolean {
    const peer = this.#peers.get(process);
    return peer !== undefined && this.#clock.now() - peer.heardAt <= leaseOf(peer.every);
  }

  lifeOf(process: string): Life {
    if (process === this.#process) return 'alive';
    const now = this.#clock.now();
    const peer = this.#peers.get(process);
    if (peer !== undefined) return now - peer.heardAt <= SILENT_BEATS * peer.every ? 'alive' : 'gone';
    return now - this.#listensSince > SILENT_BEATS * this.#every ? 'gone' : 'unsure';
  }

  /** Subscribes and begins to beat. */
  async start(): Promise<void> {
    await this.#driver.subscribe(CONTROL, this);
    this.#listensSince = this.#clock.now();
    if (this.#cancel === undefined && !this.#stopped) this.#tick();
  }

  /** Tells all other processes; what cannot be told just now is not told. */
  async tell(notice: { bye: true } | { flushed: true } | { discarded: readonly [string, string] } | { purged: string }): Promise<void> {
    await this.#publish(notice).catch(() => undefined);
  }

  message(payload: Uint8Array): void {
    const notice = readNotice(payload);
    if (notice === undefined) {
      this.#stats.undecodable += 1;
      return;
    }
    if (notice.process === this.#process) this.#heardOwn(notice);
    else if ('beat' in notice) this.#heard(notice.process, notice.beat, notice.every ?? HEARTBEAT_MS);
    else if ('bye' in notice) this.#forget(notice.process);
    else this.#events.notice(notice);
  }

  /** What was missed while the broker was away is no partition: counting starts anew. */
  gap(): void {
    this.#peers.clear();
    this.#listensSince = this.#clock.now();
    this.#count();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  /** What this process said has been to the broker and back. */
  #heardOwn(notice: Notice): void {
    if (this.#sent === undefined || !('beat' in notice) || notice.beat !== this.#sent.beat) return;
    this.#stats.roundTrip = this.#clock.now() - this.#sent.at;
    this.#stats.roundTrips += 1;
    this.#sent = undefined;
  }

  #heard(process: string, beat: number, every: number): void {
    const known = this.#peers.get(process);
    const missed = known === undefined ? 0 : beat - known.beat - 1;
    if (missed > 0) {
      this.#stats.missedHeartbeats += missed;
      // All that were beyond it are heard again within this time.
      if (this.#clock.now() - this.#missedAt > 2 * Math.max(every, this.#every)) this.#events.missed();
      if (!this.isPartitioned) this.#events.fault('partitioned', `${missed} heartbeats of process ${process} were missed although both were connected`);
      this.#missedAt = this.#clock.now();
    }
    this.#peers.set(process, { beat, heardAt: this.#clock.now(), every });
    // One that was heard in time changes no count; the others are looked at with each beat of this process.
    if (known === undefined || this.#clock.now() - known.heardAt > 2 * known.every) this.#count();
  }

  #forget(process: string): void {
    this.#peers.delete(process);
    this.#count();
  }

  #tick(): void {
    const every = this.#every;
    this.#cancel = this.#clock.after(every, () => this.#tick());
    void this.#sayAlive(every);
    const now = this.#clock.now();
    for (const [process, peer] of this.#peers) if (now - peer.heardAt > MEMORY_MS) this.#peers.delete(process);
    this.#count();
  }

  /** Until the next beat of this process, as many as it hears just now. */
  get #every(): number {
    const fleet = this.#stats.peers + 1;
    return Math.min(SLOWEST_HEARTBEAT_MS, Math.max(1, fleet / COMMON_FLEET) * HEARTBEAT_MS);
  }

  /** The number is used up only by a beat that the broker took: one that was never sent was not missed. */
  async #sayAlive(every: number): Promise<void> {
    const beat = this.#beat + 1;
    this.#sent = { beat, at: this.#clock.now() };
    try {
      await this.#publish({ beat, ...(every === HEARTBEAT_MS ? {} : { every }) });
      this.#beat = Math.max(this.#beat, beat);
    } catch {
      // Away: the next one carries this number.
    }
  }

  async #publish(notice: object): Promise<void> {
    await this.#driver.publish(CONTROL, Buffer.from(JSON.stringify({ process: this.#process, ...notice })));
  }

  #count(): void {
    const now = this.#clock.now();
    let peers = 0;
    let silent = 0;
    for (const { heardAt, every } of this.#peers.values()) {
      const silence = now - heardAt;
      if (silence > leaseOf(every)) continue;
      peers += 1;
      if (silence > 2 * every) silent += 1;
    }
    this.#stats.peers = peers;
    this.#stats.silentPeers = silent;
  }
}

/** A process whose beats are so far apart is taken for dead after this silence. */
function leaseOf(every: number): number {
  return Math.max(LEASE_MS, 3 * every);
}

function readNotice(payload: Uint8Array): Notice | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString());
    return isNotice(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isNotice(value: unknown): value is Notice {
  if (typeof value !== 'object' || value === null) return false;
  const { process, beat, every = HEARTBEAT_MS, bye, flushed, discarded, purged } = value as Record<string, unknown>;
  if (typeof process !== 'string') return false;
  const beats = Number.isSafeInteger(beat) && typeof every === 'number' && every >= HEARTBEAT_MS && every <= SLOWEST_HEARTBEAT_MS;
  return beats || bye === true || flushed === true || isDiscarded(discarded) || isName(purged);
}

function isDiscarded(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && value.every((name) => isName(name));
}
