import { setImmediate as turn } from 'node:timers/promises';

/** Items that are looked at before others have their turn: about a millisecond. */
const ITEMS_A_TURN = 4096;

/** How a list is ordered, and where a part of it begins. */
interface ListOrder<T, K extends string | number> {
  readonly key: (item: T) => K;
  /** Only those whose key is greater. */
  readonly after: K | undefined;
}

/**
 * The first `count` of many items in the order of their keys, without ever sorting all of them, and in slices: a hundred thousand sessions are looked through while
 * the gateway goes on. `items` must stay as it is meanwhile.
 */
export async function firstOf<T, K extends string | number>(
  items: readonly T[],
  count: number,
  { key, after }: ListOrder<T, K>,
  isMeant: (item: T) => boolean,
): Promise<T[]> {
  let first: T[] = [];
  const compare = (a: T, b: T): number => (key(a) < key(b) ? -1 : 1);
  for (let start = 0; start < items.length; start += ITEMS_A_TURN) {
    if (start > 0) await turn();
    const found = items.slice(start, start + ITEMS_A_TURN).filter((item) => (after === undefined || key(item) > after) && isMeant(item));
    if (found.length > 0) first = [...first, ...found].toSorted(compare).slice(0, count);
  }
  return first;
}

/** How many of them are meant, counted in slices. */
export async function countOf<T>(items: readonly T[], isMeant: (item: T) => boolean): Promise<number> {
  let count = 0;
  for (let start = 0; start < items.length; start += ITEMS_A_TURN) {
    if (start > 0) await turn();
    for (const item of items.slice(start, start + ITEMS_A_TURN)) if (isMeant(item)) count += 1;
  }
  return count;
}
