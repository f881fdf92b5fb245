/** The middle value, or the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  const [low = Number.NaN, high = low] = Number.isInteger(half) ? sorted.slice(half - 1, half + 1) : sorted.slice(Math.floor(half));
  return Number.isInteger(half) ? (low + high) / 2 : low;
}
