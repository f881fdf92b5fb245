/** A call that has not been answered costs about 1 KiB beside its payload. */
const MOST_CALLS = 65_536;
const MOST_BYTES = 64 * 1_048_576;

/**
 * What was handed to a connection, or waits to be, and has not been answered: bounded in calls and in bytes, so that a broker that is slow, or takes nothing
 * at all, does not fill the memory of those who publish. Past it the broker is as good as away.
 */
export class UnderWay {
  #calls = 0;
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#calls === 0;
  }

  /** Why nothing more may be begun, if so. */
  get full(): string | undefined {
    if (this.#calls >= MOST_CALLS) return `${this.#calls} calls were made that it has not answered yet`;
    if (this.#bytes > MOST_BYTES) return `${this.#bytes} bytes were sent that it has not taken yet`;
    return undefined;
  }

  begin(bytes: number, calls = 1): void {
    this.#calls += calls;
    this.#bytes += bytes;
  }

  end(bytes: number, calls = 1): void {
    this.#calls -= calls;
    this.#bytes -= bytes;
  }
}
