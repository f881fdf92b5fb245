/**
 * What many hold together: each piece is a view, and the buffer under it counts once, however many hold views of it. Holding a small part of a large buffer counts
 * as the part.
 */
export class SharedBytes {
  readonly #held = new Map<ArrayBufferLike, number>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  hold(piece: Uint8Array): void {
    this.#change(piece, piece.length);
  }

  /** Once for each {@link hold}. */
  release(piece: Uint8Array): void {
    this.#change(piece, -piece.length);
  }

  #change({ buffer }: Uint8Array, by: number): void {
    const before = this.#held.get(buffer) ?? 0;
    const after = before + by;
    this.#total += Math.min(after, buffer.byteLength) - Math.min(before, buffer.byteLength);
    if (after === 0) this.#held.delete(buffer);
    else this.#held.set(buffer, after);
  }
}
