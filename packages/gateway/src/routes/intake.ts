import type { Link } from '../session/link.ts';

/** Messages of one session that may be under way to the layer; past it the client is not read until half of them are answered. */
const MAX_UNDER_WAY = 64;

/** Slows down a client that sends faster than the layer takes, by not reading it. */
export class Intake {
  readonly #link: Link;
  #underWay = 0;
  #isPaused = false;

  constructor(link: Link) {
    this.#link = link;
  }

  begin(): void {
    this.#underWay += 1;
    if (this.#underWay < MAX_UNDER_WAY || this.#isPaused) return;
    this.#isPaused = true;
    this.#link.pause();
  }

  end(): void {
    this.#underWay -= 1;
    if (!this.#isPaused || this.#underWay > MAX_UNDER_WAY / 2) return;
    this.#isPaused = false;
    this.#link.resume();
  }
}
