import { isatty } from 'node:tty';
import { takeStray, Worker } from '@busgate/consumer/run';
import { isName, NAME_RULE, openLayer } from '@busgate/layer';
import { ConfigError, sentence, shown } from '../config/faults.ts';
import { readFlags } from '../config/flags.ts';
import { count } from '../config/types.ts';
import { StreamLog } from '../log.ts';
import { loadConsumers } from '../routes/consumer/load.ts';
import { openOutput } from '../stdio.ts';
import { layerTarget, type CommandTarget } from './target.ts';

const FLAGS = { layer: false, prefix: false, queue: false, concurrency: false } as const;
const CONCURRENCY = count(1, 1_000_000);
const CONCURRENT = 1000;

interface WorkCall {
  readonly module: string;
  readonly queue: string;
  readonly concurrency: number;
  readonly target: Extract<CommandTarget, { kind: 'layer' }>;
}

/**
 * `busgate work MODULE --queue QUEUE`: runs the consumers that a module exports, until a signal; then every session goes to another worker.
 * @returns 0, or 1 where an error that nobody expected made it stop
 */
export async function work(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<number> {
  const { module, queue, concurrency, target } = readWork(argv, env);
  const router = await loadConsumers(module);
  const log = new StreamLog({ level: 'info', stream: openOutput(2), readable: isatty(2) });
  const stop = untilStopped(log);
  await using layer = await openLayer(target.url, { ...target.options, logger: log });
  const worker = new Worker({ layer, router, queue, concurrency, log });
  worker.start();
  log.info('working', { queue, module });
  const code = await stop;
  log.info('stopping: sessions go to other workers', { sessions: worker.size });
  await worker.stop();
  return code;
}

/** Resolves with the exit code at a signal, or at an error that nobody expected. What a handler leaves behind ends its own session alone. */
function untilStopped(log: StreamLog): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => resolve(0));
    process.on('uncaughtException', (error) => {
      if (takeStray(error)) return;
      log.error('unexpected error: the worker stops', { error: error.message, stack: error.stack });
      resolve(1);
    });
  });
}

/** @throws ConfigError with every fault; nothing was loaded or connected */
function readWork(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): WorkCall {
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

function readTarget(layer: string, prefix: string | undefined, faults: string[]): WorkCall['target'] {
  if (layer === '') faults.push('--layer must be said: the broker that the gateways have, such as redis://localhost:6379');
  return layerTarget(layer, prefix, undefined, layer === '' ? [] : faults);
}
