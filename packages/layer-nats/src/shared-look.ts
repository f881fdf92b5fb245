/** A look that was asked for. */
export interface Look<T> {
  /** Resolves once it has begun: what is asked from then on reaches the server later. */
  readonly begun: Promise<unknown>;
  readonly seen: Promise<T>;
}

/** Looks at one thing for many: one look is under way at a time, and who asks meanwhile shares the next one, so that none is told what was seen before it asked. */
export class SharedLook<T> {
  readonly #look: () => Promise<T>;
  #underWay: Promise<unknown> | undefined;
  #next: Look<T> | undefined;

  constructor(look: () => Promise<T>) {
    this.#look = look;
  }

  ask(): Look<T> {
    if (this.#next !== undefined) return this.#next;
    const begun = this.#underWay;
    if (begun === undefined) return { begun: Promise.resolve(), seen: this.#begin() };
    this.#next = { begun, seen: begun.then(() => this.#begin()) };
    return this.#next;
  }

  #begin(): Promise<T> {
    this.#next = undefined;
    const seen = this.#look();
    const over = (): void => {
      if (this.#underWay === ended) this.#underWay = undefined;
    };
    const ended = seen.then(over, over);
    this.#underWay = ended;
    return seen;
  }
}
