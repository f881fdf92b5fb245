import { median } from '../rig/median.ts';
import { verdict } from '../rig/table.ts';
import { subjects } from './subjects.ts';

export interface Measured {
  readonly scenario: string;
  readonly subject: string;
  /** Deliveries a second, or clients opened a second. */
  readonly rate: number;
  /** Microseconds of the server's CPU for each of them. */
  readonly cpu: number;
  /** KiB an idle client. */
  readonly resident?: number;
}

const TITLES: Readonly<Record<string, string>> = {
  idle: '5,000 clients that do nothing',
  paced: 'One room of 1,000 clients, 40 messages a second',
  saturation: 'One room of 1,000 clients, saturation',
};

/** Tables of medians, and whether each goal was met. */
export function report(all: readonly Measured[], runs: number): string {
  const scenarios = [...new Set(all.map(({ scenario }) => scenario))];
  const head = `One room by each transport: medians of ${runs} runs, \`npm run bench -- transports --runs ${runs}\`. Busgate has its messages from Redis; Nchan keeps them in its own memory, with no bus behind it.`;
  return [head, ...scenarios.flatMap((scenario) => ['', ...tableOf(scenario, all)]), '', ...goals(all)].join('\n');
}

function tableOf(scenario: string, all: readonly Measured[]): string[] {
  const names = [...new Set(all.filter((one) => one.scenario === scenario).map(({ subject }) => subject))];
  const isIdle = scenario === 'idle';
  const row = (name: string): string => {
    const cells = [Math.round(middle(all, scenario, name, 'rate')), middle(all, scenario, name, 'cpu').toFixed(2)];
    return `| ${subjects[name]?.title} | ${[...cells, ...(isIdle ? [middle(all, scenario, name, 'resident').toFixed(1)] : [])].join(' | ')} |`;
  };
  return [
    `## ${TITLES[scenario]}`,
    '',
    isIdle ? '|  | opened/s | CPU µs each | KiB each |' : '|  | deliveries/s | CPU µs each |',
    isIdle ? '| --- | ---: | ---: | ---: |' : '| --- | ---: | ---: |',
    ...names.map(row),
  ];
}

function goals(all: readonly Measured[]): string[] {
  const ratio = (scenario: string, one: string, other: string, figure: 'rate' | 'cpu' | 'resident'): number =>
    middle(all, scenario, one, figure) / middle(all, scenario, other, figure);
  return [
    verdict('server-sent events at saturation: deliveries a second, of WebSocket', ratio('saturation', 'sse', 'websocket', 'rate'), 0.9, 'at least'),
    verdict('server-sent events, paced: CPU a delivery, of WebSocket', ratio('paced', 'sse', 'websocket', 'cpu'), 1.11, 'at most'),
    verdict('a waiting poll: memory, of an idle WebSocket', ratio('idle', 'poll', 'websocket', 'resident'), 1, 'at most'),
  ].filter((line) => !line.includes('NaN'));
}

function middle(all: readonly Measured[], scenario: string, subject: string, figure: 'rate' | 'cpu' | 'resident'): number {
  return median(all.filter((one) => one.scenario === scenario && one.subject === subject).map((one) => one[figure] ?? Number.NaN));
}
