/** Of the bound: a writer that can wait keeps below it. */
const LITTLE = 0.25;

/** The body of an answer as it comes: pieces wait for whoever writes them to the client, up to a bound. */
export class Pieces implements AsyncIterable<Uint8Array> {
  readonly #limit: number;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #outcome: { readonly error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;
  #roomy: PromiseWithResolvers<void> | undefined;

  /** `limit`: bytes that may wait. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** False, and not taken, where too much waits already. One piece is taken whatever it has. */
  add(piece: Uint8Array): boolean {
    if (this.#bytes > this.#limit) return false;
    this.#waiting.push(piece);
    this.#bytes += piece.length;
    this.#wake?.();
    return true;
  }

  /** For who can wait with the next piece: resolves when little waits; undefined where that is so. */
  room(): Promise<void> | undefined {
    if (this.#outcome !== undefined || this.#bytes <= this.#limit * LITTLE) return undefined;
    this.#roomy ??= Promise.withResolvers<void>();
    return this.#roomy.promise;
  }

  end(): void {
    this.#outcome ??= { error: undefined };
    this.#wake?.();
  }

  /** What waits is dropped: the answer stays unfinished. */
  fail(error: Error): void {
    this.#outcome ??= { error };
    this.#waiting = [];
    this.#wake?.();
    this.#makeRoom();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* this.#read();
    } finally {
      // Its reader has gone: who still writes is not to wait for it.
      this.#makeRoom();
    }
  }

  async *#read(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const piece = this.#waiting.shift();
      if (piece !== undefined) {
        this.#bytes -= piece.length;
        if (this.#bytes <= this.#limit * LITTLE) this.#makeRoom();
        yield piece;
      } else if (this.#outcome?.error !== undefined) {
        throw this.#outcome.error;
      } else if (this.#outcome !== undefined) {
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }

  #makeRoom(): void {
    this.#roomy?.resolve();
    this.#roomy = undefined;
  }
}
