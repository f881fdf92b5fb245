/** Listeners by name. One that throws is an unhandled rejection of its own, and keeps nothing from the others. */
export class Emitter<Events extends Record<string, unknown[]>> {
  readonly #listeners = new Map<keyof Events, Set<(...args: unknown[]) => void>>();

  /** Answers what takes the listener off again. */
  on<Name extends keyof Events>(name: Name, listener: (...args: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener as (...args: unknown[]) => void));
    return () => void listeners.delete(listener as (...args: unknown[]) => void);
  }

  emit<Name extends keyof Events>(name: Name, ...args: Events[Name]): void {
    const listeners = [...(this.#listeners.get(name) ?? [])];
    for (const listener of listeners) void (async () => listener(...args))();
  }
}
