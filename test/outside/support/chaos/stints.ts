import type { Witnessed, WitnessWorker } from './witness-worker.ts';

/** What one worker had of one session: from its connect there to where it was killed, gave it back, or saw its end. */
export interface Stint {
  readonly worker: WitnessWorker;
  readonly events: readonly Handling[];
}

/** One event in a worker's hands. Times as {@link Witnessed} has them; `ended` is the worker's death where it died with it, undefined where it stopped in the middle. */
export interface Handling extends Omit<Witnessed, 'at' | 'edge'> {
  readonly began: number;
  readonly ended: number | undefined;
}

/** Everything that workers witnessed of each session, by its client, in the order in which it happened. */
export async function stintsOf(workers: readonly WitnessWorker[]): Promise<ReadonlyMap<string, readonly Stint[]>> {
  const stints = new Map<string, Stint[]>();
  for (const worker of workers) {
    for (const [client, events] of handlingsOf(worker, await worker.witnessed())) {
      const known = stints.get(client) ?? [];
      stints.set(client, [...known, { worker, events }]);
    }
  }
  for (const [client, unsorted] of stints)
    stints.set(
      client,
      split(unsorted).toSorted((a, b) => beganOf(a) - beganOf(b)),
    );
  return stints;
}

function beganOf({ events }: Stint): number {
  return events[0]?.began ?? 0;
}

function handlingsOf(worker: WitnessWorker, witnessed: readonly Witnessed[]): ReadonlyMap<string, readonly Handling[]> {
  const handlings = new Map<string, Handling[]>();
  for (const { at, edge, ...what } of witnessed) {
    const known = handlings.get(what.client) ?? [];
    handlings.set(what.client, known);
    if (edge === 'begin') known.push({ ...what, began: at, ended: worker.killedAt });
    else known.splice(-1, 1, { ...(known.at(-1) as Handling), ended: at });
  }
  return handlings;
}

/** A session may come back to a worker that had it: each connect begins another stint. */
function split(stints: readonly Stint[]): Stint[] {
  return stints.flatMap(({ worker, events }) => {
    const begins = [...events.keys()].filter((index) => index === 0 || events[index]?.event === 'connect');
    return begins.map((begin, index) => ({ worker, events: events.slice(begin, begins[index + 1]) }));
  });
}
