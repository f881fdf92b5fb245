import { median } from '../rig/median.ts';
import { verdict } from '../rig/table.ts';
import { dimensions } from './cases.ts';
import type { Cost } from './worker.ts';

/** What one case cost in one run. */
export interface Measured extends Cost {
  readonly scenario: string;
  readonly size: string;
}

/** What a delivery of any case may cost, of one in the smallest. */
const GOAL = 1.3;

/** A table a dimension, with what each case costs of the smallest, and whether the dearest keeps within the goal. */
export function report(all: readonly Measured[], runs: number): string {
  const scenarios = [...new Set(all.map(({ scenario }) => scenario))];
  const head = `The gateways' CPU for a delivery while one thing grows: medians of ${runs} runs, \`npm run bench -- growth --runs ${runs}\`.`;
  return [head, ...scenarios.flatMap((scenario) => ['', ...tableOf(scenario, all)])].join('\n');
}

function tableOf(scenario: string, all: readonly Measured[]): string[] {
  const sizes = Object.keys(dimensions[scenario]?.cases ?? {});
  const of = (size: string, figure: keyof Cost): number =>
    median(all.filter((one) => one.scenario === scenario && one.size === size).map((one) => one[figure]));
  const busy = (size: string): number => of(size, 'cpu') - of(size, 'idle');
  const ratios = (cost: (size: string) => number): number[] => sizes.map((size) => cost(size) / cost(sizes[0] ?? ''));
  const [whole, busyOnly] = [ratios((size) => of(size, 'cpu')), ratios(busy)];
  const row = (size: string, at: number): string => {
    const figures = [of(size, 'cpu'), of(size, 'idle'), whole[at] ?? Number.NaN, busyOnly[at] ?? Number.NaN].map((figure) => figure.toFixed(2));
    return `| ${[size, of(size, 'deliveries'), ...figures].join(' | ')} |`;
  };
  return [
    `## ${dimensions[scenario]?.title}`,
    '',
    `| ${scenario} | deliveries | CPU µs each | of it without messages | of the smallest | the same without that part |`,
    '| ---: | ---: | ---: | ---: | ---: | ---: |',
    ...sizes.map(row),
    '',
    verdict(`${scenario}: the dearest, of the smallest`, Math.max(...whole), GOAL, 'at most'),
  ];
}
