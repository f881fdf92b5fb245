import { median } from '../rig/median.ts';
import type { Work } from './worker.ts';

/** One measurement. */
export interface Sample {
  readonly scenario: string;
  readonly server: string;
  readonly work: Work;
}

interface Row {
  readonly scenario: string;
  readonly server: string;
  readonly rate: number;
  readonly cpu: number;
}

/** Tables of medians, and whether each goal was met. */
export function report(samples: readonly Sample[], returns: readonly number[], runs: number): string {
  const rows = summarise(samples);
  const lines = [
    `Layer on Redis: medians of ${runs} runs, \`npm run bench -- layer --runs ${runs}\`.`,
    '',
    '| scenario | subject | a second | CPU µs each |',
    '| --- | --- | ---: | ---: |',
    ...rows.map(({ scenario, server, rate, cpu }) => `| ${scenario} | ${server} | ${Math.round(rate)} | ${cpu.toFixed(1)} |`),
    '',
    ...goals(rows, returns),
  ];
  return lines.join('\n');
}

function summarise(samples: readonly Sample[]): Row[] {
  const names = [...new Set(samples.map(({ scenario, server }) => `${scenario} ${server}`))];
  return names.map((name) => {
    const [scenario = '', server = ''] = name.split(' ');
    const works = samples.filter((sample) => sample.scenario === scenario && sample.server === server).map(({ work }) => work);
    return {
      scenario,
      server,
      rate: median(works.map(({ count, seconds }) => count / seconds)),
      cpu: median(works.map(({ count, cpuMicros }) => cpuMicros / count)),
    };
  });
}

function goals(rows: readonly Row[], returns: readonly number[]): string[] {
  const lines: string[] = [];
  const of = (scenario: string, server: string): Row | undefined => rows.find((row) => row.scenario === scenario && row.server === server);
  for (const readers of [1, 4, 16]) {
    const [ours, bare, python] = ['busgate', 'bare', 'channels_redis'].map((server) => of(`queue-${readers}`, server));
    if (ours === undefined) continue;
    if (python !== undefined) lines.push(verdict(`queue, ${readers} readers: messages/s, of channels_redis's`, ours.rate / python.rate, 20, 'at least'));
    if (bare !== undefined) lines.push(verdict(`queue, ${readers} readers: CPU per message, of the bare loop's`, ours.cpu / bare.cpu, 1.5, 'at most'));
  }
  if (returns.length > 0) lines.push(verdict('10,000 rooms subscribed again after a restart: seconds', median(returns), 1, 'at most'));
  return lines;
}

function verdict(title: string, figure: number, wanted: number, bound: 'at least' | 'at most'): string {
  const met = bound === 'at least' ? figure >= wanted : figure <= wanted;
  return `- ${title}: **${figure.toFixed(2)}**, wanted ${bound} ${wanted}: ${met ? 'met' : 'missed'}`;
}
