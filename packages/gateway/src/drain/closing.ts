import type { DrainBudget, DrainClock, DrainingSession } from './draining.ts';

/** Closes are looked after this often, in milliseconds, about: never in step with others. */
const STEP_MS = 25;
/** Others that drain are listened to for so long before the first close, in milliseconds. */
const HEAR_MS = 250;
/** After a standstill of the process no more is made up for than this, in milliseconds. */
const LONGEST_STEP_MS = 250;
/** Telling holds the event loop for so long at once, in milliseconds. */
const SLICE_MS = 5;

interface ClosingTimes {
  /** All are closed within so many milliseconds, whatever the share. */
  readonly available: number;
  /** Each is told so many milliseconds before. */
  readonly notice: number;
}

/** How far it has come: sessions are told and closed in their order. */
interface Progress {
  readonly sessions: readonly DrainingSession[];
  told: number;
  closed: number;
  /** Those before it are due; it is between two of them most of the time. */
  turn: number;
}

/**
 * Closes sessions at this process's share of what its fleet may close, and faster where they would not all be closed in time. Each is told shortly before: when its turn
 * comes is not known any earlier, since others begin and end meanwhile.
 */
export async function closeWithin(
  budget: DrainBudget,
  sessions: readonly DrainingSession[],
  { available, notice }: ClosingTimes,
  clock: DrainClock,
): Promise<void> {
  if (sessions.length === 0) return;
  const end = clock.now() + available;
  budget.begin();
  await clock.sleep(Math.min(HEAR_MS, available / 4));
  const firstAt = clock.now() + notice;
  const progress: Progress = { sessions, told: 0, closed: 0, turn: 0 };
  let before = firstAt;
  for (;;) {
    const now = clock.now();
    const rate = rateOf(budget.share(), sessions.length - progress.turn, end - Math.max(now, firstAt));
    progress.turn += Math.min(LONGEST_STEP_MS, Math.max(0, now - before)) * rate;
    before = Math.max(now, before);
    tell(progress, { untilFirst: Math.max(0, firstAt - now), notice, rate }, clock);
    closeDue(progress);
    if (progress.closed === sessions.length) break;
    await clock.sleep(STEP_MS * (0.5 + Math.random()));
  }
  budget.end();
}

/** Closes a millisecond: the share of so many a second, or what the time that is left needs. */
function rateOf(share: number, left: number, available: number): number {
  return Math.max(share / 1000, left / Math.max(STEP_MS, available));
}

function tell(progress: Progress, { untilFirst, notice, rate }: { untilFirst: number; notice: number; rate: number }, clock: DrainClock): void {
  const ahead = Math.min(progress.sessions.length, progress.turn + Math.max(0, notice - untilFirst) * rate);
  const until = clock.now() + SLICE_MS;
  for (; progress.told < ahead && clock.now() < until; progress.told += 1) {
    progress.sessions[progress.told]?.announceDrain(untilFirst + Math.max(0, progress.told - progress.turn) / rate);
  }
}

function closeDue(progress: Progress): void {
  for (; progress.closed < Math.min(progress.told, progress.turn); progress.closed += 1) {
    const session = progress.sessions[progress.closed];
    if (session?.isOpen === true) session.close('drained');
  }
}
