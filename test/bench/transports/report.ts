import { median } from '../rig/median.ts';
import { verdict } from '../rig/table.ts';
import { subjects } from './subjects.ts';

export interface Measured {
  readonly scenario: string;
  readonly subject: string;
  /** Deliveries a second, polls answered a second, or clients opened a second. */
  readonly rate: number;
  /** Microseconds of the server's CPU for each of them. */
  readonly cpu: number;
  /** KiB an idle client. */
  readonly resident?: number;
}

type Figure = 'rate' | 'cpu' | 'resident';

interface Scenario {
  readonly title: string;
  /** What is counted in a second. */
  readonly counted: string;
  /** The subject that the others are compared with. */
  readonly base: string;
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  idle: { title: '10,000 clients that do nothing', counted: 'opened/s', base: 'websocket' },
  paced: { title: 'One room of 1,000 clients, 40 messages a second', counted: 'deliveries/s', base: 'websocket' },
  saturation: { title: 'One room of 1,000 clients, saturation', counted: 'deliveries/s', base: 'websocket' },
  polls: { title: '1,000 clients that poll one room, and each message answers every poll', counted: 'polls answered/s', base: 'poll' },
};

/** Tables of medians, and whether each goal was met. */
export function report(all: readonly Measured[], runs: number): string {
  const scenarios = [...new Set(all.map(({ scenario }) => scenario))];
  const head = `One room by each transport: medians of ${runs} runs, \`npm run bench -- transports --runs ${runs}\`. Each figure is followed by its ratio to that of Busgate's WebSocket, or poll.
Busgate and Centrifugo have their messages from Redis; Nchan keeps them in its own memory, with no bus behind it. Centrifugo and Nchan are published to by HTTP, which is in their CPU.`;
  return [head, ...scenarios.flatMap((scenario) => ['', ...tableOf(scenario, all)]), '', ...goals(all)].join('\n');
}

function tableOf(scenario: string, all: readonly Measured[]): string[] {
  const { title = '', counted = '', base = '' } = SCENARIOS[scenario] ?? {};
  const names = [...new Set(all.filter((one) => one.scenario === scenario).map(({ subject }) => subject))];
  const figures: readonly (readonly [figure: Figure, title: string, digits: number])[] = [
    ['rate', counted, 0],
    ['cpu', 'CPU µs each', 2],
    ...(scenario === 'idle' ? ([['resident', 'KiB each', 1]] as const) : []),
  ];
  const row = (name: string): string => {
    const cells = figures.flatMap(([figure, , digits]) => {
      const value = middle(all, scenario, name, figure);
      const ratio = value / middle(all, scenario, base, figure);
      return [value.toFixed(digits), Number.isNaN(ratio) ? '' : ratio.toFixed(2)];
    });
    return `| ${[subjects[name]?.title, ...cells].join(' | ')} |`;
  };
  return [
    `## ${title}`,
    '',
    `|  | ${figures.map(([, of]) => `${of} | ratio`).join(' | ')} |`,
    `| --- |${figures.map(() => ' ---: | ---: |').join('')}`,
    ...names.map(row),
  ];
}

function goals(all: readonly Measured[]): string[] {
  const ratio = (scenario: string, one: string, other: string, figure: Figure): number =>
    middle(all, scenario, one, figure) / middle(all, scenario, other, figure);
  return [
    verdict('server-sent events at saturation: deliveries a second, of WebSocket', ratio('saturation', 'sse', 'websocket', 'rate'), 0.9, 'at least'),
    verdict('server-sent events at saturation: CPU a delivery, of WebSocket', ratio('saturation', 'sse', 'websocket', 'cpu'), 1.11, 'at most'),
    verdict('server-sent events, paced: CPU a delivery, of WebSocket', ratio('paced', 'sse', 'websocket', 'cpu'), 1.11, 'at most'),
    verdict('a waiting poll: memory, of an idle WebSocket', ratio('idle', 'poll', 'websocket', 'resident'), 1, 'at most'),
  ].filter((line) => !line.includes('NaN'));
}

function middle(all: readonly Measured[], scenario: string, subject: string, figure: Figure): number {
  return median(all.filter((one) => one.scenario === scenario && one.subject === subject).map((one) => one[figure] ?? Number.NaN));
}
