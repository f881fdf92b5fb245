import { closeWithin } from './drain/closing.ts';
import type { DrainBudget, DrainClock, Draining, DrainingSession, DrainStep, DrainTimes } from './drain/draining.ts';

/** Sessions are closed this far apart, in milliseconds, where there is time; closer where there is not. */
const PACE_MS = 50;
/** Closes are looked after this often, in milliseconds. */
const STEP_MS = 25;
/** Telling holds the event loop for so long at once, in milliseconds; the clock is looked at once in so many sessions. */
const SLICE_MS = 5;
const SESSIONS_A_LOOK = 16;
/** Of the time that is left after the notice, closing takes at most so much; the rest is for peers that answer late and for the layer. */
const CLOSING_SHARE = 0.6;
/** Clients that were told have this long more before they are closed, as a share of the same time. */
const GRACE_SHARE = 0.05;
const MAX_GRACE_MS = 1000;
/** Kept for the layer and for ending, as a share of the whole. */
const END_SHARE = 0.1;

/** When each of `count` sessions is closed, in milliseconds from now: spread evenly, each at a random place within its part. */
export function planCloses(count: number, available: number, random: () => number): number[] {
  const step = Math.min(PACE_MS, available / Math.max(1, count));
  return Array.from({ length: count }, (_, index) => (index + random()) * step);
}

/** Ends everything in order and in time: announce, refuse, tell every client, close them at a pace, flush, finish. Resolves within the deadline as far as `finish` does. */
export async function drain(what: Draining, times: DrainTimes, clock: DrainClock): Promise<void> {
  const end = clock.now() + times.deadline;
  const step = stepsOf(what, clock);
  what.announce();
  await clock.sleep(Math.min(times.notice, times.deadline / 2));
  step('notice');
  what.refuse();
  await closeAll(what.sessions(), end - clock.now(), times.budget, clock);
  step('closing');
  const rest = end - times.deadline * END_SHARE - clock.now();
  await Promise.race([what.gone(), clock.sleep(Math.max(0, rest))]);
  step('leaving');
  what.cutOff();
  await Promise.race([what.finish(), clock.sleep(Math.max(0, end - clock.now()))]);
}

/** Tells what each step has taken since the one before it ended. */
function stepsOf(what: Draining, clock: DrainClock): (step: DrainStep) => void {
  let begun = clock.now();
  return (step) => {
    const now = clock.now();
    what.took(step, now - begun);
    begun = now;
  };
}

/** Tells each session when it is closed, counted from when all have been told. */
async function announceAll(sessions: readonly DrainingSession[], plan: readonly number[], clock: DrainClock): Promise<void> {
  let until = clock.now() + SLICE_MS;
  for (const [index, session] of sessions.entries()) {
    session.announceDrain(plan[index] ?? 0);
    if (index % SESSIONS_A_LOOK > 0 || clock.now() < until) continue;
    await clock.sleep(0);
    until = clock.now() + SLICE_MS;
  }
}

async function closeAll(sessions: readonly DrainingSession[], left: number, budget: DrainBudget | undefined, clock: DrainClock): Promise<void> {
  const grace = Math.min(MAX_GRACE_MS, left * GRACE_SHARE);
  if (budget !== undefined) return await closeWithin(budget, sessions, { available: grace + left * CLOSING_SHARE, notice: grace }, clock);
  const plan = planCloses(sessions.length, left * CLOSING_SHARE, Math.random);
  await announceAll(sessions, plan, clock);
  const begin = clock.now() + (sessions.length > 0 ? grace : 0);
  for (const [index, session] of sessions.entries()) {
    const due = begin + (plan[index] ?? 0);
    while (clock.now() < due) await clock.sleep(Math.max(STEP_MS, due - clock.now()));
    if (session.isOpen) session.close('drained');
  }
}
