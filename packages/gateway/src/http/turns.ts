/** Requests that one connection pipelines take their turns in the order in which they came, however long the body of each takes to be read. */
export class Turns {
  readonly #last = new WeakMap<object, Promise<unknown>>();

  /** Calls `use` with what was read, once every earlier request of the connection has been used or has failed. What `use` begins holds up nobody. */
  async take<T, R>(connection: object, reading: Promise<T>, use: (read: T) => Promise<R>): Promise<R> {
    const before = this.#last.get(connection);
    const turn = this.#begin(before, reading, use);
    this.#last.set(connection, Promise.allSettled([before, turn]));
    const { result } = await turn;
    return await result;
  }

  /** The result is boxed, so that the turn ends when `use` has been called. */
  async #begin<T, R>(before: Promise<unknown> | undefined, reading: Promise<T>, use: (read: T) => Promise<R>): Promise<{ result: Promise<R> }> {
    const [read] = await Promise.all([reading, before]);
    return { result: use(read) };
  }
}
