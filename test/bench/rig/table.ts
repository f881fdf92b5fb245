import { median } from './median.ts';
import type { Work } from './work.ts';

/** One measurement. */
export interface Sample {
  readonly scenario: string;
  readonly server: string;
  readonly work: Work;
}

/** The medians of all measurements of one server in one scenario. */
export interface Row {
  readonly scenario: string;
  readonly server: string;
  /** A second. */
  readonly rate: number;
  /** Microseconds each. */
  readonly cpu: number;
  /** The broker's. */
  readonly broker: number;
}

export function summarise(samples: readonly Sample[]): Row[] {
  const groups = Map.groupBy(samples, ({ scenario, server }) => `${scenario} ${server}`);
  return [...groups.values()].map((group) => ({
    scenario: group[0]?.scenario ?? '',
    server: group[0]?.server ?? '',
    rate: median(group.map(({ work: { count, seconds } }) => count / seconds)),
    cpu: median(group.map(({ work: { count, cpuMicros } }) => cpuMicros / count)),
    broker: median(group.map(({ work: { count, brokerMicros = 0 } }) => brokerMicros / count)),
  }));
}

/** The row of one server in one scenario, where it was measured. */
export function find(rows: readonly Row[], scenario: string, server: string): Row | undefined {
  return rows.find((row) => row.scenario === scenario && row.server === server);
}

/** One family's results, as they are printed and written down. */
export function table(what: string, family: string, runs: number, rows: readonly Row[], goals: readonly string[]): string {
  return [
    `${what}: medians of ${runs} runs, \`npm run bench -- ${family} --runs ${runs}\`.`,
    '',
    '| scenario | subject | a second | CPU µs each | the broker’s |',
    '| --- | --- | ---: | ---: | ---: |',
    ...rows.map(({ scenario, server, rate, cpu, broker }) => `| ${scenario} | ${server} | ${Math.round(rate)} | ${cpu.toFixed(1)} | ${broker.toFixed(1)} |`),
    '',
    ...goals,
  ].join('\n');
}

/** Whether a goal was met, in one line. */
export function verdict(title: string, figure: number, wanted: number, bound: 'at least' | 'at most'): string {
  const met = bound === 'at least' ? figure >= wanted : figure <= wanted;
  return `- ${title}: **${figure.toFixed(2)}**, wanted ${bound} ${wanted}: ${met ? 'met' : 'missed'}`;
}
