const SLOTS = 64;

/** Something that falls due, linked into the wheel by its own fields: waiting costs it no object and no timer. */
export interface Timed {
  /** The tick at which it falls due; -1 while it is not in the wheel. The wheel's own, like the two links. */
  dueTick: number;
  wheelNext: Timed | undefined;
  wheelBack: Timed | undefined;
  /** Called at its tick, when it is no longer in the wheel; it may put itself in again. */
  onDue(): void;
}

/** One timing wheel for all deadlines. Knows no clock: whoever owns it calls {@link tick}. */
export class Deadlines {
  /** Ticks so far. */
  now = 0;
  readonly tickMs: number;
  readonly #slots: (Timed | undefined)[] = Array.from({ length: SLOTS }, () => undefined);

  constructor(tickMs: number) {
    this.tickMs = tickMs;
  }

  /** Whole ticks that cover `ms`, at least one. */
  ticks(ms: number): number {
    return Math.max(1, Math.ceil(ms / this.tickMs));
  }

  /** Makes `entry` fall due at `tick`, and no longer at the one it waited for. A tick in the past is the next one. */
  set(entry: Timed, tick: number): void {
    if (entry.dueTick >= 0) this.#unlink(entry);
    entry.dueTick = Math.max(tick, this.now + 1);
    const slot = entry.dueTick % SLOTS;
    const first = this.#slots[slot];
    entry.wheelNext = first;
    if (first !== undefined) first.wheelBack = entry;
    this.#slots[slot] = entry;
  }

  cancel(entry: Timed): void {
    if (entry.dueTick >= 0) this.#unlink(entry);
  }

  /** Calls everything that falls due at the next tick. */
  tick(): void {
    this.now += 1;
    const due: Timed[] = [];
    for (let entry = this.#slots[this.now % SLOTS]; entry !== undefined; entry = entry.wheelNext) {
      if (entry.dueTick === this.now) due.push(entry);
    }
    for (const entry of due) {
      // An earlier one of this tick may have cancelled or moved it.
      if (entry.dueTick !== this.now) continue;
      this.#unlink(entry);
      entry.onDue();
    }
  }

  #unlink(entry: Timed): void {
    const { wheelNext, wheelBack } = entry;
    if (wheelBack === undefined) this.#slots[entry.dueTick % SLOTS] = wheelNext;
    else wheelBack.wheelNext = wheelNext;
    if (wheelNext !== undefined) wheelNext.wheelBack = wheelBack;
    entry.wheelNext = undefined;
    entry.wheelBack = undefined;
    entry.dueTick = -1;
  }
}
