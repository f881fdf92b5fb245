import { availableParallelism, release } from 'node:os';
import { doubts } from './doubts.ts';
import { type Figure, figures, middle } from './figures.ts';
import { judge } from './goals.ts';
import type { Result } from './measure.ts';
import type { Results } from './results.ts';
import { scenarios } from './scenarios.ts';
import { servers } from './servers.ts';

/** Those whose figures Busgate's are divided by. */
const yardsticks = ['naive', 'floor'];

/** All tables, goals and remarks, in Markdown. */
export function report(results: Results, runs: number): string {
  return [
    ...Object.keys(results).flatMap((name) => [`## ${scenarios[name]?.title ?? name}`, table(name, results)]),
    ...goals(results),
    remarks(results, runs),
  ].join('\n\n');
}

type Measured = Readonly<Record<string, readonly Result[]>>;

function table(scenario: string, results: Results): string {
  const measured = results[scenario] ?? {};
  const names = Object.keys(measured);
  const against = names.includes('busgate') ? yardsticks.filter((name) => names.includes(name)) : [];
  const { compared, told } = figures[scenarios[scenario]?.kind ?? 'idle'];
  const cells = (figure: Figure): string[] => [figure.title, ...names.map((name) => figure.print(middle(figure, measured[name])))];
  const rows = [
    ...compared.map((figure) => [...cells(figure), ...against.map((name) => ratio(figure, measured, name))]),
    ...told.map((figure) => [...cells(figure), ...against.map(() => '')]),
  ];
  return markdown(['', ...names.map(titleOf), ...against.map((name) => `Busgate : ${titleOf(name)}`)], rows);
}

function titleOf(server: string): string {
  return servers[server]?.title ?? server;
}

function ratio(figure: Figure, measured: Measured, against: string): string {
  return printRatio(middle(figure, measured['busgate']) / middle(figure, measured[against]));
}

function printRatio(value: number): string {
  if (value >= 10) return value.toFixed(0);
  return value >= 1 ? value.toFixed(2) : value.toPrecision(2);
}

function goals(results: Results): string[] {
  const verdicts = judge(results);
  if (verdicts.length === 0) return [];
  const rows = verdicts.map(({ title, ratio: value, wanted, met }) => [title, wanted, printRatio(value), met ? 'met' : '**missed**']);
  return ['## Goals', markdown(['', 'goal', 'measured', ''], rows)];
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

function remarks(results: Results, runs: number): string {
  const machine = `${availableParallelism()} cores, Linux ${release()}, Node ${process.version}`;
  const notes = Object.entries(results).flatMap(([scenario, measured]) =>
    Object.entries(measured).flatMap(([server, all]) => doubts(`${titleOf(server)}, ${scenario}`, all)),
  );
  return [`Medians of ${runs} runs, interleaved; ${machine}.`, ...notes.map((note) => `- ${note}`)].join('\n');
}
