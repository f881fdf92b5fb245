/** A gap is told to fetch again after a time spread over this much, and as much more for each member here, in milliseconds. */
const GAP_SPREAD_MS = 100;
const GAP_SPREAD_A_MEMBER_MS = 1;
const GAP_SPREAD_MAX_MS = 10_000;

/** What a gap tells one of so many sessions that are told at the same time: `after`, in milliseconds, so that they do not all fetch at once. */
export function gapOf(room: string, members: number): { readonly room: string; readonly after: number } {
  const spread = Math.min(GAP_SPREAD_MAX_MS, GAP_SPREAD_MS + members * GAP_SPREAD_A_MEMBER_MS);
  return { room, after: Math.round(Math.random() * spread) };
}
