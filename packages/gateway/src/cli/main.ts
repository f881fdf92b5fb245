import { readFileSync } from 'node:fs';
import { isLayerError, type LayerErrorCode } from '@busgate/layer';
import { type ConfigInput, inspectConfig } from '../config.ts';
import { descriptorLimit } from '../config/descriptors.ts';
import { ConfigError, shown } from '../config/faults.ts';
import { hint } from '../config/nearest.ts';
import { printConfig } from '../config/print.ts';
import { readVersion } from '../version.ts';
import { escapeUnsafe } from '../escape.ts';
import { helpOf } from './help.ts';
import { reasonOf } from './reasons.ts';

/** What was asked for cannot be done as it was written; nothing was started. */
const EXIT_USAGE = 2;
const EXIT_FAILED = 1;

type Command = (argv: readonly string[]) => Promise<number>;

/** Each loads only what it needs: a gateway is much code, and a message is soon sent. */
const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['serve', async (argv) => await (await import('./serve.ts')).serve(() => inputOf(argv))],
  ['publish', async (argv) => await (await import('./publish.ts')).publish(argv)],
  ['subscribe', async (argv) => await (await import('./subscribe.ts')).subscribe(argv)],
  ['work', async (argv) => await (await import('./work.ts')).work(argv, process.env)],
  ['forward', async (argv) => await (await import('./forward.ts')).forward(argv, process.env)],
  ['sessions', async (argv) => await (await import('./operate.ts')).sessions(argv, process.env)],
  ['rooms', async (argv) => await (await import('./operate.ts')).rooms(argv, process.env)],
  ['tap', async (argv) => await (await import('./tap.ts')).tap(argv, process.env)],
  ['close', async (argv) => await (await import('./operate.ts')).close(argv, process.env)],
  ['fleet', async (argv) => await (await import('./operate.ts')).fleet(argv, process.env)],
  ['drain', async (argv) => await (await import('./operate.ts')).drain(argv, process.env)],
  ['doctor', async (argv) => await (await import('./doctor.ts')).doctor(argv, inputOf)],
  [
    'config',
    async (argv) => {
      const { config, unsaid } = inspectConfig(inputOf(argv));
      process.stdout.write(printConfig(config));
      for (const fault of unsaid) process.stderr.write(`busgate: before serve can start, ${fault}\n`);
      return 0;
    },
  ],
]);

/** Errors of the layer that are about what was written, not about the broker's state. */
const USAGE_CODES: ReadonlySet<LayerErrorCode> = new Set(['INVALID_NAME', 'INVALID_URL', 'INVALID_OPTION', 'UNKNOWN_SCHEME', 'UNSUPPORTED', 'REFUSED']);

/** Runs the command that the arguments name. Gives the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const [first = '', ...rest] = argv;
  const named = first !== '' && !first.startsWith('-');
  const command = COMMANDS.get(named ? first : 'serve');
  if (command === undefined) return usage([unknownCommand(first)]);
  const args = named ? rest : argv;
  if (hasFlag(args, '--help', '-h')) return say(helpOf(named ? first : undefined));
  if (hasFlag(args, '--version', '-v')) return say(`${readVersion()}\n`);
  const code = await command(args).catch(failed);
  // Scripts tell two cases apart there: all were accepted, or not.
  return first === 'publish' ? Math.min(code, EXIT_FAILED) : code;
}

function failed(error: unknown): number {
  if (error instanceof ConfigError) return usage(error.faults);
  if (isLayerError(error) && USAGE_CODES.has(error.code)) return usage([reasonOf(error)]);
  process.stderr.write(`busgate: ${escapeUnsafe(addressTaken(error) ?? reasonOf(error))}\n`);
  return EXIT_FAILED;
}

function addressTaken(error: unknown): string | undefined {
  const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  return code === 'EADDRINUSE' ? `port ${port} is taken on ${address}: choose another with --port and --ops-port` : undefined;
}

/** Before `--`: what follows it is no flag. */
function hasFlag(args: readonly string[], ...names: string[]): boolean {
  const end = args.indexOf('--');
  return args.slice(0, end === -1 ? undefined : end).some((arg) => names.includes(arg));
}

function unknownCommand(name: string): string {
  const known = [...COMMANDS.keys()];
  return `there is no command ${shown(name, true)}; there are ${known.join(', ')}${hint(name, known)}`;
}

function inputOf(argv: readonly string[]): ConfigInput {
  return { argv, env: process.env, readFile: (path) => readFileSync(path, 'utf8'), descriptors: descriptorLimit() };
}

function usage(faults: readonly string[]): number {
  for (const fault of faults) process.stderr.write(`busgate: ${fault}\n`);
  return EXIT_USAGE;
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}
