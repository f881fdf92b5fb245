import type { Writable } from 'node:stream';

/** Lines that a reader has not taken are kept up to here. In bytes. */
const MAX_WAITING = 1_048_576;

/** Where lines go. It never blocks and never throws: what a reader does not take, or nobody reads any more, is dropped and counted. */
export class LineSink {
  readonly #stream: Writable;
  #gone = false;
  #dropped = 0;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', () => {
      this.#gone = true;
    });
  }

  /** Lines dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  write(line: string): boolean {
    if (this.#gone || this.#stream.destroyed || this.#stream.writableLength > MAX_WAITING) {
      this.#dropped += 1;
      return false;
    }
    this.#stream.write(line);
    return true;
  }

  /** Resolves when everything has been handed over, or after `ms` milliseconds. */
  flush(ms: number): Promise<void> {
    if (this.#gone || this.#stream.writableLength === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#stream.write('', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
