import { parseArgs } from 'node:util';

/** What of a family to measure. */
export interface Choice {
  readonly scenarios: readonly string[];
  readonly servers: readonly string[];
  readonly runs: number;
  /** Nothing was left out: the results may be written down. */
  readonly whole: boolean;
}

/** The names a family can be asked for. */
interface Names {
  readonly scenarios: readonly string[];
  readonly servers: readonly string[];
}

/** Medians of fewer runs are not written down. */
const FEWEST_RUNS = 3;

/** Reads the command line; an unknown name is an error that lists the known ones. */
export function parseChoice(args: readonly string[], families: Readonly<Record<string, Names>>): { family: string; choice: Choice } {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { scenario: { type: 'string' }, server: { type: 'string' }, runs: { type: 'string', default: `${FEWEST_RUNS}` } },
  });
  const known = Object.keys(families);
  const family = pick('family', positionals.join(',') || known[0], known)[0] ?? '';
  const names = families[family];
  if (!names || positionals.length > 1) throw new Error(`one family at a time: ${known.join(', ')}`);
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs is a whole number from 1 on, not ${values.runs}`);
  const whole = values.scenario === undefined && values.server === undefined && runs >= FEWEST_RUNS;
  const scenarios = pick('scenario', values.scenario, names.scenarios);
  return { family, choice: { scenarios, servers: pick('server', values.server, names.servers), runs, whole } };
}

function pick(what: string, wanted: string | undefined, known: readonly string[]): readonly string[] {
  if (wanted === undefined) return known;
  const names = wanted.split(',');
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`no ${what} is called '${unknown}'; there are: ${known.join(', ')}`);
  return names;
}
