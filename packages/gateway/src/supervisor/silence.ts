/** A worker that has said nothing for so long is taken for dead, in milliseconds. */
export const SILENCE_MS = 10_000;
/** Its first word may take so long: on a busy machine a program is not soon loaded. */
const FIRST_WORD_MS = 60_000;
/** Whether it has is looked at this often, in milliseconds. */
export const LOOK_MS = 1000;

/**
 * Measures how long somebody has been silent, in time in which this process itself ran: between two looks at most twice {@link LOOK_MS} count. Who was held up, or
 * stopped, has not listened, and holds that against nobody.
 */
export class Silence {
  #silentMs = 0;
  #limit = FIRST_WORD_MS;

  heard(): void {
    this.#silentMs = 0;
    this.#limit = SILENCE_MS;
  }

  /** Call it each {@link LOOK_MS}, after everything that has come was read. `passedMs` since the last look. True when it is too long. */
  look(passedMs: number): boolean {
    this.#silentMs += Math.min(passedMs, LOOK_MS * 2);
    return this.#silentMs >= this.#limit;
  }
}
