import { SYSTEM_CLOCK, type Clock } from '../clock.ts';

/** Looks that a wait is divided into; so often at most again where the last of them came late. */
const LOOKS = 5;

/**
 * Waits for a peer, and judges it once it has been silent for so long. Timers run before what the sockets have: a process that was held up, by its own
 * work, by SIGSTOP or by a machine that had no time for it, has the answer and has not read it. So looks are counted: however long it was held up, that was
 * one look, and the last is followed by a reading of the sockets.
 */
export class Patience {
  readonly #everyMs: number;
  readonly #judge: () => void;
  readonly #clock: Clock;
  #left = LOOKS;
  #again = LOOKS;
  #dueAt = 0;
  #cancelLook: (() => void) | undefined;
  #reading: NodeJS.Immediate | undefined;

  /** `judge` is called once, unless it is ended before. It does not keep the process alive. */
  constructor(ms: number, judge: () => void, clock: Clock = SYSTEM_CLOCK) {
    this.#everyMs = ms / LOOKS;
    this.#judge = judge;
    this.#clock = clock;
    this.#lookLater();
  }

  /** The peer was heard, or nobody waits for it any more. */
  end(): void {
    this.#cancelLook?.();
    clearImmediate(this.#reading);
  }

  #lookLater(): void {
    this.#dueAt = this.#clock.now() + this.#everyMs;
    this.#cancelLook = this.#clock.after(this.#everyMs, () => this.#look());
  }

  #look(): void {
    this.#left -= 1;
    const isLate = this.#clock.now() - this.#dueAt > this.#everyMs;
    if (this.#left > 0) {
      this.#lookLater();
    } else if (isLate && this.#again > 0) {
      this.#again -= 1;
      this.#lookLater();
    } else {
      this.#reading = setImmediate(this.#judge);
    }
  }
}
