/** A gateway of which the layer has heard nothing is kept for so long after its last word, in milliseconds: its first heartbeat may be on its way. */
const UNHEARD_MS = 15_000;

/** Which gateways there are besides this one: who has said so and has not gone, as far as the layer can tell. Knows no clock: each call says what time it is. */
export class Roster {
  readonly #heardAt = new Map<string, number>();
  readonly #isAlive: (gateway: string) => boolean;

  /** `isAlive`: whether the layer hears that process's heartbeats. */
  constructor(isAlive: (gateway: string) => boolean) {
    this.#isAlive = isAlive;
  }

  /** It has said something. `now` in milliseconds, never going back. */
  heard(gateway: string, now: number): void {
    this.#heardAt.set(gateway, now);
  }

  left(gateway: string): void {
    this.#heardAt.delete(gateway);
  }

  /** Those that are there, by name. One that died without a word is among them until its heartbeats are missed. */
  all(now: number): string[] {
    for (const [gateway, heardAt] of this.#heardAt) {
      if (now - heardAt > UNHEARD_MS && !this.#isAlive(gateway)) this.#heardAt.delete(gateway);
    }
    return [...this.#heardAt.keys()].toSorted();
  }
}
