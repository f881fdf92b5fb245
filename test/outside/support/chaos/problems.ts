import type { Handling, Stint } from './stints.ts';
import type { Visit } from './wanderer.ts';

/** A session that nobody takes over is closed after so long, in microseconds: a death is known after 10 s, and then 30 s are waited. */
const RESUME_TIMEOUT_US = 45_000_000;

/** What happened while clients came and went. Times are microseconds of the machine's monotonic clock. */
interface Happened {
  /** Origins of gateways that were killed. */
  readonly killedOrigins: ReadonlySet<string>;
  /** When the last worker was killed. */
  readonly lastKillAt: number;
  /** When the end of the visit of this name last came into a queue. */
  readonly endQueuedAt: (name: string) => number;
}

/** What must not be, of one visit, by everything that workers witnessed of it: a text for each. */
export function problemsOf(visit: Visit, stints: readonly Stint[], happened: Happened): readonly string[] {
  const problems = [...handoverProblems(stints), ...orderProblems(stints), ...endProblems(visit, stints, happened), ...closeProblems(visit, happened)];
  return problems.map(
    (problem) => `${problem}: ${JSON.stringify(visit)} ${JSON.stringify(stints.map(({ events, worker }) => ({ killedAt: worker.killedAt, events })))}`,
  );
}

/** Never in two workers at once, begun anew only where another one had it, and nothing undone but by one that was killed. */
function handoverProblems(stints: readonly Stint[]): readonly string[] {
  return stints.flatMap(({ events: [first] }, index) => {
    if (first === undefined) return [];
    const before = stints[index - 1];
    const isTwice = before?.events.some(({ ended = Infinity }) => ended > first.began) === true;
    const isAnew = first.event === 'connect' && first.resumed !== (before !== undefined);
    const isUndone = undoneBefore(first) > 0 && before?.worker.killedAt === undefined;
    return given([
      ['in two workers at once', isTwice],
      ['begun again', isAnew],
      ['undone by a worker that was not killed', isUndone],
    ]);
  });
}

/** In its order, none twice, none lost but with a worker that was killed. */
function orderProblems(stints: readonly Stint[]): readonly string[] {
  const problems: string[] = [];
  let [last, undone] = [0, 0];
  for (const event of stints.flatMap(({ events }) => events)) {
    undone += undoneBefore(event);
    if (event.text === undefined) continue;
    if (event.text <= last) problems.push('twice, or out of order');
    if (event.text > last + 1 + undone) problems.push('lost');
    [last, undone] = [event.text, 0];
  }
  return problems;
}

/** One end, after everything that the client said; none only where a worker may have died with it. */
function endProblems(visit: Visit, stints: readonly Stint[], happened: Happened): readonly string[] {
  const all = stints.flatMap(({ events }) => events);
  const ends = all.filter(({ event }) => event === 'disconnect');
  return given([
    ['two ends', ends.length > 1],
    ['something after the end', ends.length === 1 && all.at(-1) !== ends[0]],
    ['no end', ends.length === 0 && isHeld(visit, stints.at(-1)) && happened.endQueuedAt(visit.name) > happened.lastKillAt],
    ['what it said last is lost', isCutShort(visit, stints.at(-1), happened)],
  ]);
}

/** A worker has it, or had it until it died: one that was killed before its accept had left took with it that it ever had it. */
function isHeld({ isOpen }: Visit, stint: Stint | undefined): boolean {
  return stint !== undefined && (isOpen || stint.worker.killedAt === undefined);
}

/** A client that left by itself had said more than the worker was given that had it to its end. */
function isCutShort(visit: Visit, stint: Stint | undefined, { killedOrigins }: Happened): boolean {
  if (stint === undefined || stint.worker.killedAt !== undefined || visit.closedWith !== undefined || killedOrigins.has(visit.origin)) return false;
  const isWhole = stint.events[0]?.event === 'connect' && stint.events.at(-1)?.event === 'disconnect';
  const last = stint.events.findLast(({ text }) => text !== undefined)?.text;
  return isWhole && last !== undefined && last !== visit.said;
}

/** No close but where a gateway was killed, or so many workers that nobody took the session over in time. */
function closeProblems({ closedWith, origin, endedAt }: Visit, { killedOrigins, lastKillAt }: Happened): readonly string[] {
  if (closedWith === undefined || killedOrigins.has(origin)) return [];
  return given([['closed', closedWith !== 1012 || endedAt > lastKillAt + RESUME_TIMEOUT_US]]);
}

function undoneBefore({ undone = 0 }: Handling): number {
  return undone;
}

function given(problems: readonly (readonly [text: string, holds: boolean])[]): readonly string[] {
  return problems.flatMap(([text, holds]) => (holds ? [text] : []));
}
