import type { MemoryHolder } from './memory/memory.ts';

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
/** What may be held however short memory is, as a share of it: those who are there are read. */
const FLOOR = 1 / 64;

/**
 * The bound that all clients of a process share for what they have begun and not finished: requests, frames, fragments, bodies, each with what holds it. Whoever
 * keeps such bytes takes their cost first, and gives it back when they are handed on or dropped. Where the bound is met those go who hold most: a client that has
 * begun little is not refused because others have begun much.
 */
export class Inbound implements MemoryHolder {
  readonly #limit: number;
  /** As much of it as there is memory for. */
  #bound: number;
  readonly #holders = new Set<Holder>();
  #bytes = 0;
  /** What may come until somebody looks. */
  #unseen = Infinity;
  #look: () => number = () => Infinity;

  /** `limit` in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
    this.#bound = limit;
  }

  /** What is taken just now. */
  get bytes(): number {
    return this.#bytes;
  }

  get held(): number {
    return this.#bytes;
  }

  /** From now on `look` is called for what comes, at once, and answers how many bytes may come until it is called again. */
  watch(look: () => number): void {
    this.#look = look;
    this.#unseen = 0;
  }

  /** So many bytes have come, whatever becomes of them: what is read and dropped leaves garbage too. Whoever holds something may have been told to let go of it when this returns. */
  came(bytes: number): void {
    this.#unseen -= bytes;
    if (this.#unseen < 0) this.#unseen = this.#look();
  }

  allow(bytes: number): void {
    this.#bound = Math.min(this.#limit, Math.max(this.#limit * FLOOR, this.#bytes + bytes));
    if (bytes < 0) this.#evict(this.#bound);
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
    if (this.#bytes + cost > this.#bound && !this.#relieve(cost, asking)) return false;
    this.#bytes += cost;
    return true;
  }

  give(cost: number): void {
    this.#bytes -= cost;
  }

  #relieve(cost: number, asking: Holder | undefined): boolean {
    const most = this.#bound - cost;
    if (most < 0) return false;
    this.#evict(most - this.#bound * RELIEF, asking, cost + (asking?.begun ?? 0));
    return this.#bytes <= most;
  }

  /** Those who hold most go, until no more than `most` bytes are held; not `asking`, and nobody who holds less than `least`. */
  #evict(most: number, asking?: Holder, least = 1): void {
    for (const holder of [...this.#holders].toSorted((a, b) => b.begun - a.begun)) {
      if (this.#bytes <= most || holder === asking || holder.begun < least) break;
      holder.evict();
    }
  }
}

/** What keeping `piece` costs: it holds the whole buffer that it is a view of, however little of it it shows. */
export function costOf(piece: Uint8Array): number {
  return piece.buffer.byteLength + PIECE_COST;
}
