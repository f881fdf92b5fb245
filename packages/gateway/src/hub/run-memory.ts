/** From so many bytes on a run has memory of its own. */
const OWN = 4096;

/** Not set to anything. */
export function memoryFor(size: number): Buffer {
  return size < OWN ? Buffer.allocUnsafe(size) : Buffer.allocUnsafeSlow(size);
}

/**
 * The first `used` bytes of a run, with room for more. Its memory is given back at once where nobody has a part of it (`isHandedOut`): left to the garbage
 * collector, it is what makes V8 collect the whole heap, after each 64 MiB of it.
 */
export function grown(frames: Buffer, isHandedOut: boolean, used: number, size: number): Buffer {
  const { buffer } = frames;
  if (!isHandedOut && frames.length >= OWN && buffer instanceof ArrayBuffer) return Buffer.from(buffer.transfer(size));
  const copy = memoryFor(size);
  copy.set(frames.subarray(0, used));
  return copy;
}
