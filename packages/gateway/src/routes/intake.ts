/** Who is not read while there is no credit. */
interface Pausable {
  pause(): void;
  resume(): void;
}

/** Slows down a client that sends faster than it is served, by not reading it: each message costs a credit, which whoever has served it gives back. */
export class Intake {
  readonly #reading: Pausable;
  readonly #enough: number;
  #credit: number;
  #isPaused = false;

  /** `credit`: messages that may be under way. Once they are, the client is not read until half of them are back. */
  constructor(reading: Pausable, credit: number) {
    this.#reading = reading;
    this.#credit = credit;
    this.#enough = credit / 2;
  }

  spend(): void {
    this.#credit -= 1;
    if (this.#credit > 0 || this.#isPaused) return;
    this.#isPaused = true;
    this.#reading.pause();
  }

  refill(): void {
    this.#credit += 1;
    if (!this.#isPaused || this.#credit < this.#enough) return;
    this.#isPaused = false;
    this.#reading.resume();
  }
}
