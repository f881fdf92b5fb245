import type { ChannelLayer, RoomEvent } from '@busgate/layer';
import type { Log } from '../../log.ts';
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

interface Entry {
  readonly charges: Set<Charge>;
  subscription: Promise<{ close(): Promise<void> }> | undefined;
}

/** The workers with queues of their own that have sessions of this gateway: whether they live, and whether they are about to stop. */
export class OwnWorkers {
  readonly #layer: Pick<ChannelLayer, 'subscribe' | 'status'>;
  readonly #log: Log;
  readonly #watch: WorkerWatch;
  readonly #entries = new Map<string, Entry>();

  /** `lookMs`: how often {@link look} is called. */
  constructor(layer: Pick<ChannelLayer, 'subscribe' | 'status'>, log: Log, lookMs: number) {
    this.#layer = layer;
    this.#log = log;
    this.#watch = new WorkerWatch(lookMs, (queue) => this.#onSilent(queue));
  }

  join(queue: string, charge: Charge): void {
    let entry = this.#entries.get(queue);
    if (entry === undefined) {
      entry = { charges: new Set(), subscription: undefined };
      this.#entries.set(queue, entry);
      this.#watch.add(queue);
      this.#subscribe(queue, entry);
    }
    entry.charges.add(charge);
  }

  leave(queue: string, charge: Charge): void {
    const entry = this.#entries.get(queue);
    entry?.charges.delete(charge);
    if (entry?.charges.size === 0) this.#forget(queue, entry);
  }

  /** To be called at regular times, after what had arrived was read. While the broker is away nobody can be heard, and the count begins anew. */
  look(): void {
    if (this.#watch.size === 0) return;
    if (this.#layer.status.state !== 'connected') return this.#watch.begin();
    for (const [queue, entry] of this.#entries) if (entry.subscription === undefined) this.#subscribe(queue, entry);
    this.#watch.look();
  }

  #subscribe(queue: string, entry: Entry): void {
    const subscription = this.#layer.subscribe(workerRoom(queue), (event) => this.#onEvent(queue, event));
    entry.subscription = subscription;
    subscription.then(
      () => this.#watch.heard(queue),
      (error: unknown) => {
        entry.subscription = undefined;
        this.#log.warn('a worker cannot be listened to', { queue, error: String(error) });
      },
    );
  }

  #onEvent(queue: string, event: RoomEvent): void {
    this.#watch.heard(queue);
    if (event.gap === true || stateOf(event.payload) !== 'stopping') return;
    for (const charge of this.#entries.get(queue)?.charges ?? []) charge.workerStops();
  }

  #onSilent(queue: string): void {
    const entry = this.#entries.get(queue);
    if (entry === undefined) return;
    this.#forget(queue, entry);
    this.#log.warn('a worker has not been heard for 10 s: its sessions go to others', { queue, sessions: entry.charges.size });
    for (const charge of entry.charges) charge.workerLost();
  }

  #forget(queue: string, { subscription }: Entry): void {
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
