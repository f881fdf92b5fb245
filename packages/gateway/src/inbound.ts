/** What a piece of memory of its own costs beside its bytes: the object, its store and the allocator's share. Measured on Node 24: about 210 bytes. */
const PIECE_COST = 256;

/** Who keeps something that a client has begun and not finished. */
export interface Holder {
  /** What it has taken of the bound for that, in bytes. */
  readonly begun: number;
  /** Lets go of all of it, and of its client. */
  evict(): void;
}

/** What is made free at least where the bound is met, as a share of it: so that not each piece has to look for more. */
const RELIEF = 1 / 16;

/**
 * The bound that all clients of a process share for what they have begun and not finished: requests, frames, fragments, bodies, each with what holds it. Whoever
 * keeps such bytes takes their cost first, and gives it back when they are handed on or dropped. Where the bound is met those go who hold most: a client that has
 * begun little is not refused because others have begun much.
 */
export class Inbound {
  readonly #limit: number;
  readonly #holders = new Set<Holder>();
  #bytes = 0;

  /** `limit` in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** What is taken just now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** From now on it may be told to let go of what it holds, until {@link remove}. */
  add(holder: Holder): void {
    this.#holders.add(holder);
  }

  remove(holder: Holder): void {
    this.#holders.delete(holder);
  }

  /** Counts `cost` bytes more; where that would pass the bound, and nobody holds more than whoever asks, it counts nothing, and answers false. */
  take(cost: number, asking?: Holder): boolean {
    if (this.#bytes + cost > this.#limit && !this.#relieve(cost, asking)) return false;
    this.#bytes += cost;
    return true;
  }

  give(cost: number): void {
    this.#bytes -= cost;
  }

  #relieve(cost: number, asking: Holder | undefined): boolean {
    const most = this.#limit - cost;
    if (most < 0) return false;
    const own = cost + (asking?.begun ?? 0);
    for (const holder of [...this.#holders].toSorted((a, b) => b.begun - a.begun)) {
      if (this.#bytes <= most - this.#limit * RELIEF || holder === asking || holder.begun < own) break;
      holder.evict();
    }
    return this.#bytes <= most;
  }
}

/** What keeping `piece` costs: it holds the whole buffer that it is a view of, however little of it it shows. */
export function costOf(piece: Uint8Array): number {
  return piece.buffer.byteLength + PIECE_COST;
}
