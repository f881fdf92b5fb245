/** How often it looks whether the process was kept waiting, in milliseconds. */
const TICK_MS = 10;

/**
 * Time as this process has it: what a busy machine keeps it from running does not count, what it keeps itself busy with does. For promises about how soon
 * a process does what it does by itself.
 */
export class OwnTime implements Disposable {
  readonly #timer = setInterval(() => this.#tick(), TICK_MS).unref();
  #at = performance.now();
  #used = process.cpuUsage();
  #ms = 0;

  /** Milliseconds since its beginning. */
  get ms(): number {
    this.#tick();
    return this.#ms;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const [at, { user, system }] = [performance.now(), process.cpuUsage(this.#used)];
    const busy = (user + system) / 1000;
    this.#ms += Math.min(at - this.#at, Math.max(busy, 2 * TICK_MS));
    this.#at = at;
    this.#used = process.cpuUsage();
  }
}
