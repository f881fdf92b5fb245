import type { TransportName } from '../transports/transport.ts';

/** A page that had to fall back tries the best transport again after so many milliseconds. */
const UPGRADE_MS = 300_000;

/** Which transport is the next one: the first that works, from the best one down. */
export class Ladder {
  readonly #steps: readonly TransportName[];
  readonly #memory: Map<string, TransportName>;
  readonly #key: string;
  #hasFailed = false;
  readonly best: TransportName;
  transport: TransportName;
  /** When the best one is due again. */
  upgradeAt = Infinity;

  /** `memory` outlives this bus: what worked for `key` is begun with, where the choice was the same; a lesser choice says nothing of what it leaves out. */
  constructor(steps: readonly TransportName[], memory: Map<string, TransportName>, key: string) {
    this.#steps = steps;
    this.#memory = memory;
    this.#key = `${steps.join()} ${key}`;
    this.best = steps[0] as TransportName;
    this.transport = this.lost(0);
  }

  worked(transport: TransportName, now: number): void {
    this.transport = transport;
    this.#hasFailed = false;
    this.#memory.set(this.#key, transport);
    if (transport === this.best) this.upgradeAt = Infinity;
    else if (this.upgradeAt <= now || this.upgradeAt === Infinity) this.postpone(now);
  }

  /** The gateway can be reached, but not so. True where another transport is to be tried at once; one that has worked on this page gets a second chance. */
  refused(): boolean {
    this.#hasFailed = !this.#hasFailed && this.#memory.get(this.#key) === this.transport;
    if (this.#hasFailed) return false;
    const next = this.#steps[this.#steps.indexOf(this.transport) + 1];
    this.transport = next ?? this.best;
    return next !== undefined;
  }

  /** Nothing can be reached, which says nothing of a transport. Answers which one is tried then. */
  lost(now: number): TransportName {
    return (this.transport = (now < this.upgradeAt && this.#memory.get(this.#key)) || this.best);
  }

  /** The best one is tried again later. */
  postpone(now: number): void {
    this.upgradeAt = now + UPGRADE_MS;
  }
}
