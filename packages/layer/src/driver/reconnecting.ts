import { isLayerError } from '../errors.ts';
import type { LayerFault } from '../faults.ts';
import { Losses, type Met } from './losses.ts';
import { withResolvers, type Resolvers } from './resolvers.ts';
import { RetryWaits } from './retry-waits.ts';

/** Why a broker is away. */
export interface Absence {
  readonly reason: string;
  /** Undefined where all that is known is that a connection broke. */
  readonly fault: LayerFault | undefined;
}

/** What is to be reached, and who is told of it. */
export interface Reachable {
  /**
   * One attempt, and what comes of it: makes all that the driver needs at the broker, calls `reached`, and settles once that is over; with why, or by
   * rejecting. It is over soon after `signal` is aborted.
   */
  hold(reached: () => void, signal: AbortSignal): Promise<Absence>;
  /** What a rejection of {@link hold} says. */
  absenceOf(error: unknown): Absence;
  connected(): void;
  /** Told when it leaves, and whenever another attempt failed for another reason. */
  away(reason: string): void;
  fault(kind: LayerFault, reason: string): void;
}

/** Keeps what a driver has at a broker, for ever: what was lost, or could not be made, is made anew after a wait that grows and has jitter. Nothing is told any more once it was closed. */
export class Reconnecting {
  readonly #reachable: Reachable;
  readonly #losses: Losses;
  readonly #closing = new AbortController();
  #isConnected = false;
  #reason: string | undefined;
  #running: Promise<void> | undefined;

  constructor(reachable: Reachable) {
    this.#reachable = reachable;
    this.#losses = new Losses((kind, reason) => reachable.fault(kind, reason));
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Why the broker is away; undefined as long as it has not been tried. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Aborted once it was closed. */
  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  /**
   * Resolves after the first attempt, whatever became of it, save refused credentials.
   * @throws LayerError REFUSED: nothing more is tried
   */
  async open(): Promise<void> {
    const first = withResolvers<void>();
    this.#running = this.#keep(first);
    await first.promise;
  }

  /** To be called with each server that answers. As {@link Losses.found}. */
  found(met: Met): boolean {
    return this.#losses.found(met);
  }

  /** Resolves when the last attempt, or what came of it, is over. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #keep(first: Resolvers<void>): Promise<void> {
    const { signal } = this.#closing;
    const waits = new RetryWaits();
    let isFirst = true;
    const reached = (): void => {
      isFirst = false;
      waits.reset();
      this.#enter();
      first.resolve();
    };
    while (!signal.aborted) {
      try {
        this.#leave(await this.#reachable.hold(reached, signal));
      } catch (error) {
        if (isFirst && isLayerError(error, 'REFUSED')) {
          this.#closing.abort();
          first.reject(error);
          return;
        }
        this.#leave(this.#reachable.absenceOf(error));
      }
      first.resolve();
      isFirst = false;
      await waits.wait(signal);
    }
  }

  #enter(): void {
    this.#isConnected = true;
    this.#reason = undefined;
    if (!this.#closing.signal.aborted) this.#reachable.connected();
  }

  #leave({ reason, fault }: Absence): void {
    const isKnown = !this.#isConnected && this.#reason === reason;
    this.#isConnected = false;
    this.#reason = reason;
    if (this.#closing.signal.aborted) return;
    if (!isKnown) this.#reachable.away(reason);
    this.#losses.lost(reason, fault);
  }
}
