/**
 * Which messages of a room were given to the program. Offsets grow within an epoch, and a room that has begun a new epoch never goes back; so whatever comes
 * again, over whichever link, is known by its position.
 */
export class Seen {
  #epoch = '';
  #offset = 0;
  /** Epochs that the room has had. */
  readonly #past = new Set<string>();

  /** True once for each message, and never for one that comes behind a newer one. */
  take(position: string): boolean {
    const [epoch, offset] = split(position);
    if (epoch === this.#epoch ? offset <= this.#offset : this.#past.has(epoch)) return false;
    this.#past.add(epoch);
    this.#epoch = epoch;
    this.#offset = offset;
    return true;
  }
}

function split(position: string): [epoch: string, offset: number] {
  const [epoch = '', offset] = position.split(':');
  return [epoch, Number(offset)];
}
