import type { Census } from '../support/inspector.ts';
import type { Kind } from './kind.ts';
import type { SoakStage } from './stage.ts';

/** What a round may seem to leave behind, since others come and go meanwhile, a few times in a stretch; the heap's bytes are also code that is compiled and let go. One object each time is more. */
const MOST: Readonly<Record<keyof Census, number>> = { objects: 0.2, listeners: 0.1, timers: 0.1, heap: 400 };
const MEASURES = Object.keys(MOST) as (keyof Census)[];
/** Rounds of a stretch. */
const ROUNDS = 50;
/** So many stretches in which a measure has not grown prove that it does not; of so many at most, since what comes and goes may grow in some. What is left behind grows in each. */
const PROOFS = 2;
const MOST_STRETCHES = 6;

/** Of what grows, by kind. */
const KINDS_TOLD = 30;

type Growth = Readonly<Record<keyof Census, number>>;

/** Does pieces of work again and again, in turn, and tells what they leave behind: an empty list is good. `tell` is told of each stretch. */
export async function soak(stage: SoakStage, kinds: readonly Kind[], tell: (growth: Growth) => void = () => undefined): Promise<readonly string[]> {
  let done = 0;
  const stretch = async (): Promise<void> => {
    for (const end = done + ROUNDS; done < end; done += 1) {
      for (const { round, every = 1 } of kinds) if (done % every === 0 || kinds.length === 1) await round(stage, done);
    }
  };
  await stretch();
  const growths: Growth[] = [];
  for (let before = await stage.begin(); growths.length < MOST_STRETCHES && grownOf(growths).length > 0;) {
    await stretch();
    const { census, left } = await stage.look((now) => MEASURES.every((measure) => growthOf(before, now)[measure] < MOST[measure]));
    if (left.length > 0) return left;
    const growth = growthOf(before, census);
    growths.push(growth);
    tell(growth);
    before = census;
  }
  const grown = grownOf(growths).map((measure) => `${measure} a round: ${growths.map((growth) => growth[measure].toFixed(2)).join(', ')}`);
  return [...grown, ...(grown.length > 0 ? await whatGrows(stage, stretch) : []), ...stage.errors];
}

/** The kinds of objects of which there are more after another stretch. */
async function whatGrows({ inspector }: SoakStage, stretch: () => Promise<void>): Promise<readonly string[]> {
  const before = await inspector.kinds();
  await stretch();
  const growths = Object.entries(await inspector.kinds()).map(([kind, count]) => [kind, count - (before[kind] ?? 0)] as const);
  const most = growths.filter(([, by]) => by >= ROUNDS / 10).toSorted(([, a], [, b]) => b - a);
  return most.slice(0, KINDS_TOLD).map(([kind, by]) => `${by} more: ${kind}`);
}

/** Of a round. */
function growthOf(before: Census, after: Census): Growth {
  const each = (measure: keyof Census): number => (after[measure] - before[measure]) / ROUNDS;
  return { objects: each('objects'), listeners: each('listeners'), timers: each('timers'), heap: each('heap') };
}

/** Measures of which it is not proved that they do not grow. */
function grownOf(growths: readonly Growth[]): readonly (keyof Census)[] {
  return MEASURES.filter((measure) => growths.filter((growth) => growth[measure] < MOST[measure]).length < PROOFS);
}
