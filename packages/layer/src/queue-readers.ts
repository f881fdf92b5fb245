import { SYSTEM_CLOCK, type Clock } from './clock.ts';
import type { ChannelListener, Credit, LayerLogger, LayerStats, Listening, Message } from './contract.ts';
import type { Driver } from './driver/driver.ts';
import { Listener } from './listener.ts';
import { QueueReader, type QueueReaderContext } from './queue-reader.ts';

/** Queues that nobody asks for a message are looked at this often, in milliseconds, until they can be forgotten. */
const LOOK_MS = 50;

/** The worker queues that this process reads. */
export class QueueReaders {
  readonly #context: QueueReaderContext;
  readonly #readers = new Map<string, QueueReader>();
  #sweep: (() => void) | undefined;
  #closed = false;

  constructor(driver: Driver, logger: LayerLogger, stats: LayerStats, clock: Clock = SYSTEM_CLOCK) {
    this.#context = { driver, logger, stats, clock, rested: () => this.#sweepLater() };
  }

  /** The oldest message that has not expired, to one listener only; several are served in waiting order. */
  receive(name: string, signal: AbortSignal | undefined): Promise<Message> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    return this.#reader(name).receive(signal);
  }

  /** Calls with each message, as far as the credit goes. */
  listen(name: string, call: ChannelListener, credit: Required<Credit>, failed: (error: unknown) => void): Listening {
    const reader = this.#reader(name);
    const close = reader.listen(new Listener(call, credit, { failed, freed: () => reader.freed() }));
    return { close };
  }

  close(reason: Error): void {
    this.#closed = true;
    this.#sweep?.();
    for (const reader of this.#readers.values()) reader.close(reason);
    this.#readers.clear();
  }

  #reader(name: string): QueueReader {
    const known = this.#readers.get(name);
    if (known !== undefined) return known;
    const reader = new QueueReader(name, this.#context);
    this.#readers.set(name, reader);
    return reader;
  }

  #sweepLater(): void {
    if (this.#closed) return;
    this.#sweep ??= this.#context.clock.after(LOOK_MS, () => {
      this.#sweep = undefined;
      this.#letGo();
    });
  }

  #letGo(): void {
    let resting = 0;
    for (const [name, reader] of this.#readers) {
      if (reader.waiting) continue;
      if (reader.look()) this.#readers.delete(name);
      else resting += 1;
    }
    if (resting > 0) this.#sweepLater();
  }
}
