import type { Config, ConfigInput } from '../config.ts';
import { inspectConfig } from '../config.ts';
import { ConfigError, sentence } from '../config/faults.ts';
import { readFlags } from '../config/flags.ts';
import { duration } from '../config/types.ts';
import { brokerFindings } from '../doctor/broker.ts';
import { drainFinding } from '../doctor/drain.ts';
import { type Finding, lineOf, unknown } from '../doctor/finding.ts';
import { portFindings } from '../doctor/ports.ts';
import { systemFindings, THIS_MACHINE } from '../doctor/system.ts';

const EXIT_FIX = 1;
const GRACE = duration('100ms', '24h');
const FLAG = '--grace';

/**
 * `busgate doctor`: looks at this machine, the settings and the broker, and says what is to be changed, a line each.
 * @param input the settings, from the flags that are not the command's own
 * @returns 0 without a `fix`, else 1
 */
export async function doctor(argv: readonly string[], input: (argv: readonly string[]) => ConfigInput): Promise<number> {
  const { grace, rest } = readGrace(argv);
  const asked = input(rest);
  const { config, unsaid } = inspectConfig(asked);
  const whole = { ...config, routes: config.routes ?? [] } as Config;
  const findings: Finding[] = [
    ...unsaid.map((fault) => unknown('what routes need of this machine and the broker', fault)),
    ...systemFindings(whole, { ...THIS_MACHINE, descriptors: asked.descriptors }),
    ...(await portFindings(whole)),
    drainFinding(whole, grace),
    ...(await brokerFindings(whole)),
  ];
  for (const finding of findings) process.stdout.write(lineOf(finding));
  return findings.some(({ state }) => state === 'fix') ? EXIT_FIX : 0;
}

/** Takes `--grace` out of the flags; the others are those of serve. */
function readGrace(argv: readonly string[]): { readonly grace: number | undefined; readonly rest: readonly string[] } {
  const at = argv.findIndex((arg) => arg === FLAG || arg.startsWith(`${FLAG}=`));
  if (at === -1) return { grace: undefined, rest: argv };
  const own = argv.slice(at, argv[at] === FLAG ? at + 2 : at + 1);
  const { values, faults: read } = readFlags(own, { grace: false });
  const faults = [...read];
  const grace = faults.length > 0 ? undefined : GRACE.read(values.get('grace'), (fault) => faults.push(sentence(FLAG, fault, false)));
  if (faults.length > 0) throw new ConfigError(faults);
  return { grace, rest: argv.toSpliced(at, own.length) };
}
