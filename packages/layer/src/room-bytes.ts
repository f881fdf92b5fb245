/** Bytes that the messages of one room may take of this process's memory: those kept for who comes back, and those that wait for the history. */
export const ROOM_BYTES = 1_048_576;
/** And those of all rooms together. */
const PROCESS_BYTES = 33_554_432;
/** What a message costs beside its payload. */
export const MESSAGE_BYTES = 250;

/** What keeps messages and can do with fewer. */
export interface Keeper {
  /** Lets go of the older half. */
  halve(): void;
}

/** Counts what the rooms of a process keep, so that all of them together stay within a bound: beyond it each lets go of the older half of what it can do without. */
export class RoomBytes {
  readonly #most: number;
  readonly #keepers = new Set<Keeper>();
  #used = 0;

  constructor(most: number = PROCESS_BYTES) {
    this.#most = most;
  }

  get used(): number {
    return this.#used;
  }

  add(keeper: Keeper): void {
    this.#keepers.add(keeper);
  }

  remove(keeper: Keeper): void {
    this.#keepers.delete(keeper);
  }

  /** So many more are kept, or fewer where negative. */
  count(bytes: number): void {
    this.#used += bytes;
    if (bytes > 0) this.makeRoomFor(0);
  }

  /** Whether there is room for so many, if need be after letting go of what can be done without. */
  makeRoomFor(bytes: number): boolean {
    if (this.#used + bytes > this.#most) for (const keeper of this.#keepers) keeper.halve();
    return this.#used + bytes <= this.#most;
  }
}
