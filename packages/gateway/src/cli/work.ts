import { resolve } from 'node:path';
import { isatty } from 'node:tty';
import { pathToFileURL } from 'node:url';
import { asRouter, type Router, Worker } from '@busgate/consumer/run';
import { isName, NAME_RULE, openLayer } from '@busgate/layer';
import { ConfigError, sentence, shown } from '../config/faults.ts';
import { readFlags } from '../config/flags.ts';
import { count } from '../config/types.ts';
import { StreamLog } from '../log.ts';
import { openOutput } from '../stdio.ts';
import { layerTarget, type Target } from './target.ts';

const FLAGS = { layer: false, prefix: false, queue: false, concurrency: false } as const;
const CONCURRENCY = count(1, 1_000_000);
const CONCURRENT = 1000;

interface Call {
  readonly module: string;
  readonly queue: string;
  readonly concurrency: number;
  readonly target: Extract<Target, { kind: 'layer' }>;
}

/**
 * `busgate work MODULE --queue QUEUE`: runs the consumers that a module exports, until a signal; then every session goes to another worker.
 * @returns 0
 */
export async function work(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<number> {
  const { module, queue, concurrency, target } = readWork(argv, env);
  const router = await load(module);
  const stopped = Promise.withResolvers<void>();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stopped.resolve());
  const log = new StreamLog({ level: 'info', stream: openOutput(2), readable: isatty(2) });
  await using layer = await openLayer(target.url, { ...target.options, logger: log });
  const worker = new Worker({ layer, router, queue, concurrency, log });
  worker.start();
  log.info('working', { queue, module });
  await stopped.promise;
  log.info('stopping: sessions go to other workers', { sessions: worker.size });
  await worker.stop();
  return 0;
}

/** @throws ConfigError with every fault; nothing was loaded or connected */
function readWork(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): Call {
  const { values, words, faults: read } = readFlags(argv, FLAGS);
  const faults = [...read];
  const said = (name: keyof typeof FLAGS): string | undefined => values.get(name) as string | undefined;
  const [module = ''] = words;
  if (words.length !== 1) faults.push('work takes one MODULE, such as ./chat.ts');
  const queue = readQueue(said('queue') ?? '', faults);
  const target = readTarget(said('layer') ?? env['BUSGATE_LAYER'] ?? '', said('prefix'), faults);
  const concurrency = CONCURRENCY.read(said('concurrency') ?? CONCURRENT, (fault) => faults.push(sentence('--concurrency', fault, true))) ?? CONCURRENT;
  if (faults.length > 0) throw new ConfigError(faults);
  return { module, queue, concurrency, target };
}

function readQueue(queue: string, faults: string[]): string {
  if (queue === '') faults.push("--queue must be said: the queue of the gateways' route");
  else if (!isName(queue)) faults.push(`--queue is ${shown(queue, false)}, but ${NAME_RULE}`);
  return queue;
}

function readTarget(layer: string, prefix: string | undefined, faults: string[]): Call['target'] {
  if (layer === '') faults.push('--layer must be said: the broker that the gateways have, such as redis://localhost:6379');
  return layerTarget(layer, prefix, undefined, layer === '' ? [] : faults);
}

/** @throws ConfigError with the file and the line, where the module cannot be loaded or exports nothing of use */
async function load(module: string): Promise<Router> {
  let exported: { readonly default?: unknown };
  try {
    exported = (await import(pathToFileURL(resolve(module)).href)) as typeof exported;
  } catch (error) {
    throw new ConfigError([`${module} cannot be loaded: ${firstFrame(error)}`]);
  }
  const router = asRouter(exported.default);
  if (router !== undefined) return router;
  throw new ConfigError([`${module} must export as its default a Consumer class, or what consumer(), handlers(), http() or router() made`]);
}

/** What went wrong, and where in code that is not Node's own. */
function firstFrame(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const frame = error.stack?.split('\n').find((line) => line.includes('file://') && !line.includes('node:'));
  const place = /(?:file:\/\/)?(\/[^\s()]+:\d+(?::\d+)?)/.exec(frame ?? '')?.[1];
  return place === undefined ? error.message : `${error.message} (${place})`;
}
