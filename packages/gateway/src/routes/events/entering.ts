/**
 * Joins of rooms and groups that are under way for one session, which a worker may speak to in the same breath: what it says to one that the session is about to
 * be in reaches the session, too.
 */
export class Entering {
  /** The last to begin of each name. */
  readonly #underWay = new Map<string, Promise<unknown>>();

  begin(name: string, entered: Promise<unknown>): void {
    this.#underWay.set(name, entered);
    const end = (): void => {
      if (this.#underWay.get(name) === entered) this.#underWay.delete(name);
    };
    entered.then(end, end);
  }

  /** Calls when the session is in, or could not enter: at once where nothing is under way. Calls for the same name keep their order. */
  after<T>(name: string, call: () => Promise<T>): Promise<T> {
    const entered = this.#underWay.get(name);
    return entered === undefined ? call() : entered.then(call, call);
  }
}
