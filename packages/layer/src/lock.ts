import { withResolvers } from './driver/resolvers.ts';

/** Runs steps one after the other for each key: every check that is followed by an await and a write is made under it. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs `step` after every earlier step of the same key has ended, whatever their outcome; never before this call has returned. */
  async run<T>(key: string, step: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const { promise, resolve } = withResolvers<void>();
    this.#tails.set(key, promise);
    try {
      await before;
      return await step();
    } finally {
      resolve();
      if (this.#tails.get(key) === promise) this.#tails.delete(key);
    }
  }
}
