import type { ChannelLayer, RoomEvent } from '@busgate/layer';
import type { Log } from '../../log.ts';
import { Leftovers } from './leftovers.ts';
import { WorkerWatch } from './worker-watch.ts';

/** The room in which a worker says how it is. */
function workerRoom(queue: string): string {
  return `_worker.${queue}`;
}

/** A session that a worker with a queue of its own has. */
export interface Charge {
  /** The worker takes nothing more, and gives back what it has. */
  workerStops(): void;
  /** It has not been heard for 10 s. */
  workerLost(): void;
}

/** A word of a worker that has arrived may have been said before what was queued for it since: after so many looks none such is left. */
const LOOKS_BEHIND = 2;
/** With its first word it lived after the end was queued; with the next one, 2 s later, it has read what is in its queue. */
const WORDS_OWED = 2;

/** What a worker has yet to say until it is certain that it reads its queue. */
interface OwedWords {
  /** Those count that come from this look on. */
  readonly fromLook: number;
  left: number;
}

interface WatchedQueue {
  readonly charges: Set<Charge>;
  /** The queue of the route, whose workers are told what this one no longer reads. */
  readonly shared: string;
  subscription: Promise<{ close(): Promise<void> }> | undefined;
  /** That it cannot be listened to has been logged. */
  isReported: boolean;
  /** Since an end was queued for it: it may be dead, or about to stop, and not read it. */
  owed: OwedWords | undefined;
}

/** The workers with queues of their own that have sessions of this gateway: whether they live, and whether they are about to stop. */
export class OwnWorkers {
  readonly #layer: Pick<ChannelLayer, 'subscribe' | 'status'>;
  readonly #log: Log;
  readonly #watch: WorkerWatch;
  readonly #leftovers: Leftovers;
  readonly #entries = new Map<string, WatchedQueue>();
  #looks = 0;
  /** Those that fell silent while they had sessions. */
  lost = 0;

  /** `lookMs`: how often {@link look} is called. */
  constructor(layer: Pick<ChannelLayer, 'subscribe' | 'status' | 'listen' | 'send'>, log: Log, lookMs: number) {
    this.#layer = layer;
    this.#log = log;
    this.#watch = new WorkerWatch(lookMs, (queue) => this.#onSilent(queue));
    this.#leftovers = new Leftovers(layer, log, lookMs);
  }

  /** Those that sessions of this gateway are with. */
  get size(): number {
    let size = 0;
    for (const { charges } of this.#entries.values()) if (charges.size > 0) size += 1;
    return size;
  }

  /** `shared`: the queue of the session's route. */
  join(queue: string, charge: Charge, shared: string): void {
    let entry = this.#entries.get(queue);
    if (entry === undefined) {
      this.#leftovers.leave(queue);
      entry = { charges: new Set(), shared, subscription: undefined, isReported: false, owed: undefined };
      this.#entries.set(queue, entry);
      this.#subscribe(queue, entry);
    }
    // It has just accepted the session, whatever it said in its room.
    this.#watch.heard(queue);
    entry.charges.add(charge);
  }

  /** `isTold`: the end of the session was queued for the worker, which is watched until it is certain that it has read it. */
  leave(queue: string, charge: Charge, isTold: boolean): void {
    const entry = this.#entries.get(queue);
    if (entry?.charges.delete(charge) !== true) return;
    if (isTold) entry.owed = { fromLook: this.#looks + LOOKS_BEHIND, left: WORDS_OWED };
    this.#forgetIfIdle(queue, entry);
  }

  /** To be called at regular times, after what had arrived was read. While the broker is away nobody can be heard, and the count begins anew. */
  look(): void {
    this.#leftovers.look();
    if (this.#entries.size === 0) return;
    if (this.#layer.status.state !== 'connected') return this.#watch.begin();
    this.#looks += 1;
    for (const [queue, entry] of this.#entries) if (entry.subscription === undefined) this.#subscribe(queue, entry);
    this.#watch.look();
  }

  /** Its silence counts from when it can be heard. */
  #subscribe(queue: string, entry: WatchedQueue): void {
    const subscription = this.#layer.subscribe(workerRoom(queue), (event) => this.#onEvent(queue, event));
    entry.subscription = subscription;
    subscription.then(
      () => {
        if (this.#entries.get(queue) === entry) this.#watch.add(queue);
      },
      (error: unknown) => {
        entry.subscription = undefined;
        if (!entry.isReported) this.#log.warn('a worker cannot be listened to', { queue, error: String(error) });
        entry.isReported = true;
      },
    );
  }

  #onEvent(queue: string, event: RoomEvent): void {
    this.#watch.heard(queue);
    const entry = this.#entries.get(queue);
    if (entry === undefined || event.gap === true) return;
    if (stateOf(event.payload) === 'stopping') {
      for (const charge of entry.charges) charge.workerStops();
    } else {
      this.#works(entry);
      this.#forgetIfIdle(queue, entry);
    }
  }

  /** It has said so. */
  #works(entry: WatchedQueue): void {
    const { owed } = entry;
    if (owed === undefined || this.#looks < owed.fromLook) return;
    owed.left -= 1;
    if (owed.left === 0) entry.owed = undefined;
  }

  #onSilent(queue: string): void {
    const entry = this.#entries.get(queue);
    if (entry === undefined) return;
    this.#forget(queue, entry);
    if (entry.charges.size > 0) {
      this.lost += 1;
      this.#log.warn('a worker has not been heard for 10 s: its sessions go to others', { queue, sessions: entry.charges.size });
    }
    for (const charge of entry.charges) charge.workerLost();
    this.#leftovers.gather(queue, entry.shared);
  }

  #forgetIfIdle(queue: string, entry: WatchedQueue): void {
    if (entry.charges.size === 0 && entry.owed === undefined) this.#forget(queue, entry);
  }

  #forget(queue: string, { subscription }: WatchedQueue): void {
    this.#entries.delete(queue);
    this.#watch.remove(queue);
    subscription?.then((subscribed) => subscribed.close()).catch(() => undefined);
  }
}

function stateOf(payload: Uint8Array): unknown {
  try {
    return (JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString()) as { readonly state?: unknown } | null)?.state;
  } catch {
    return undefined;
  }
}
