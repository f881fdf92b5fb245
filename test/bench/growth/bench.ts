import type { Choice } from '../choice.ts';
import { chooseCores, type Cores } from '../rig/cores.ts';
import { keep } from '../rig/results.ts';
import { type Case, dimensions } from './cases.ts';
import { type Measured, report } from './report.ts';
import { Subject } from './subject.ts';

/** Times that each case has its turn in a run: what others do to the machine meanwhile falls on all alike. */
const TURNS = 8;

export const growthScenarios: readonly string[] = Object.keys(dimensions);
export const growthServers: readonly string[] = ['busgate'];

/** What a delivery costs the gateways' CPU while one thing grows. */
export async function benchGrowth(choice: Choice): Promise<void> {
  const cores = chooseCores();
  const measured: Measured[] = [];
  for (const scenario of choice.scenarios) {
    for (let run = 0; run < choice.runs; run += 1) {
      const took = await measure(cores, scenario, dimensions[scenario]?.cases ?? {});
      for (const { size, cpu, idle } of took) console.log(`${scenario} ${size} ${run + 1}/${choice.runs} ${cpu.toFixed(2)} ${idle.toFixed(2)}`);
      measured.push(...took);
    }
  }
  const text = report(measured, choice.runs);
  console.log(`\n${text}`);
  if (choice.whole) await keep(text, 'RESULTS-growth.md');
}

/** All cases stand side by side and are measured in turn, a second each, every second time backwards; all that any of them cost counts, garbage too. */
async function measure(cores: Cores, scenario: string, cases: Readonly<Record<string, Case>>): Promise<Measured[]> {
  await using stack = new AsyncDisposableStack();
  const subjects: [string, Subject][] = [];
  for (const [size, grown] of Object.entries(cases)) subjects.push([size, stack.use(await Subject.start(cores, grown))]);
  const sums = new Map(subjects.map(([size]) => [size, { scenario, size, deliveries: 0, cpu: 0, idle: 0 }]));
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const [size, subject] of turn % 2 === 0 ? subjects : subjects.toReversed()) {
      const cost = await subject.measure();
      const sum = sums.get(size);
      if (sum === undefined) continue;
      sum.deliveries += cost.deliveries;
      sum.cpu += cost.cpu / TURNS;
      sum.idle += cost.idle / TURNS;
    }
  }
  return [...sums.values()];
}
