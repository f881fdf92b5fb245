import { median } from '../rig/median.ts';
import type { Held } from './held.ts';
import type { Idle } from './idle.ts';
import { verdict } from '../rig/table.ts';
import { servers } from './servers.ts';

/** One measurement; for `echo` a message is a round trip, for `all` a delivery. */
export interface Measured {
  readonly scenario: string;
  readonly server: string;
  /** Messages a second. */
  readonly rate: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Microseconds of CPU a message: of what holds the sockets, and of the process that has the application, where that is another one. */
  readonly frontCpu: number;
  readonly workerCpu: number;
}

type Figure = 'rate' | 'p50' | 'p99' | 'frontCpu' | 'workerCpu';

/** Tables of medians, and whether each goal was met. */
export function report(all: readonly Measured[], held: readonly (Held & { readonly server: string })[], idle: readonly Idle[], runs: number): string {
  const scenarios = [...new Set(all.map(({ scenario }) => scenario))];
  return [
    `Sockets whose logic is elsewhere: medians of ${runs} runs, \`npm run bench -- events --runs ${runs}\`.`,
    ...scenarios.flatMap((scenario) => ['', ...tableOf(scenario, all)]),
    ...heldTable(held),
    '',
    ...goals(all),
    ...idleLines(idle),
  ].join('\n');
}

function heldTable(held: readonly (Held & { readonly server: string })[]): string[] {
  if (held.length === 0) return [];
  const row = (server: string): string => {
    const of = (figure: 'front' | 'worker'): number => median(held.filter((one) => one.server === server).map((one) => one[figure]));
    return `| ${servers[server]?.title} | ${of('front').toFixed(1)} | ${of('worker') === 0 ? '' : of('worker').toFixed(1)} |`;
  };
  return [
    '',
    '## held-1000',
    '',
    '|  | KiB a socket of what holds the sockets | KiB a session of the worker |',
    '| --- | ---: | ---: |',
    ...[...new Set(held.map(({ server }) => server))].map(row),
  ];
}

function idleLines(idle: readonly Idle[]): string[] {
  if (idle.length === 0) return [];
  return [
    `- 10,000 sockets of stateless handlers: ${median(idle.map(({ perSocket }) => perSocket)).toFixed(1)} KiB of the gateway each`,
    verdict(
      'the same for 30 s after their worker has gone: the memory of the gateway, of what it was',
      median(idle.map(({ growth }) => growth)),
      1.02,
      'at most',
    ),
  ];
}

function tableOf(scenario: string, all: readonly Measured[]): string[] {
  const names = [...new Set(all.filter((one) => one.scenario === scenario).map(({ server }) => server))];
  const row = (server: string): string => {
    const of = (figure: Figure): number => middle(all, scenario, server, figure);
    const [front, worker] = [of('frontCpu'), of('workerCpu')];
    const cells = [Math.round(of('rate')), of('p50').toFixed(2), of('p99').toFixed(2), front.toFixed(1), worker === 0 ? '' : worker.toFixed(1)];
    return `| ${servers[server]?.title} | ${cells.join(' | ')} |`;
  };
  return [
    `## ${scenario}`,
    '',
    '|  | messages/s | p50, ms | p99, ms | CPU µs of what holds the sockets | CPU µs of the worker |',
    '| --- | ---: | ---: | ---: | ---: | ---: |',
    ...names.map(row),
  ];
}

function goals(all: readonly Measured[]): string[] {
  const has = (...names: string[]): boolean => names.every((name) => all.some(({ server }) => server === name));
  const of = (scenario: string, server: string, figure: Figure): number => middle(all, scenario, server, figure);
  const perCore = (scenario: string, server: string): number => 1 / Math.max(of(scenario, server, 'frontCpu'), of(scenario, server, 'workerCpu'));
  const lines: [wanted: boolean, line: () => string][] = [
    [
      has('worker', 'daphne'),
      () =>
        verdict(
          '1,000 sockets, a worker: round trips a core of gateway and of worker, of Daphne',
          perCore('echo-1000', 'worker') / perCore('echo-1000', 'daphne'),
          10,
          'at least',
        ),
    ],
    [
      has('worker', 'daphne'),
      () => verdict("1,000 sockets, a worker: p99, of Daphne's", of('echo-1000', 'worker', 'p99') / of('echo-1000', 'daphne', 'p99'), 0.1, 'at most'),
    ],
    [has('worker'), () => verdict('one socket, a worker: p50, ms', of('echo-1', 'worker', 'p50'), 0.6, 'at most')],
    [
      has('consumer', 'ws'),
      () =>
        verdict(
          "1,000 sockets, a consumer in the gateway: CPU, of bare `ws`'s",
          of('echo-1000', 'consumer', 'frontCpu') / of('echo-1000', 'ws', 'frontCpu'),
          1.1,
          'at most',
        ),
    ],
    [
      has('url', 'centrifugo'),
      () =>
        `- 1,000 sockets, \`url:\`: round trips a second, of Centrifugo's proxy by HTTP, which has no bus between: **${(of('echo-1000', 'url', 'rate') / of('echo-1000', 'centrifugo', 'rate')).toFixed(2)}**`,
    ],
    ...[100, 1000].map((sockets): [boolean, () => string] => [
      has('asgi', 'daphne'),
      () =>
        verdict(
          `${sockets} sockets, busgate-asgi: round trips a second, of Daphne's`,
          of(`echo-${sockets}`, 'asgi', 'rate') / of(`echo-${sockets}`, 'daphne', 'rate'),
          1,
          'at least',
        ),
    ]),
    [
      has('asgi', 'daphne'),
      () =>
        verdict(
          'to 1,000 sockets at once, busgate-asgi with a room: deliveries a second, of Daphne with a group',
          of('all-1000', 'asgi', 'rate') / of('all-1000', 'daphne', 'rate'),
          100,
          'at least',
        ),
    ],
  ];
  return lines
    .filter(([wanted]) => wanted)
    .map(([, line]) => line())
    .filter((line) => !line.includes('NaN'));
}

function middle(all: readonly Measured[], scenario: string, server: string, figure: Figure): number {
  return median(all.filter((one) => one.scenario === scenario && one.server === server).map((one) => one[figure]));
}
