import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';
import { isName, NAME_RULE, openLayer } from '@busgate/layer';
import { BACKEND_URL, CONCURRENCY, CONCURRENT, secretFile } from '../config/backend-url.ts';
import { ConfigError, sentence, shown } from '../config/faults.ts';
import { readFlags } from '../config/flags.ts';
import type { Report } from '../config/types.ts';
import { Forwarder, type Forwarding } from '../forward/forwarder.ts';
import { StreamLog } from '../log.ts';
import { openOutput } from '../stdio.ts';
import { layerTarget, type CommandTarget } from './target.ts';

const FLAGS = { layer: false, prefix: false, 'secret-file': false, concurrency: false } as const;
const ACCEPT_TIMEOUT_MS = 10_000;
const HANDLER_TIMEOUT_MS = 30_000;

interface ForwardCall {
  readonly target: Extract<CommandTarget, { kind: 'layer' }>;
  readonly forwarding: Forwarding;
}

/**
 * `busgate forward QUEUE URL`: until a signal, then with what is under way.
 * @returns 0
 */
export async function forward(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<number> {
  const { target, forwarding } = readForward(argv, env);
  const stopped = Promise.withResolvers<void>();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stopped.resolve());
  const log = new StreamLog({ level: 'info', stream: openOutput(2), readable: isatty(2) });
  await using layer = await openLayer(target.url, { ...target.options, logger: log });
  const forwarder = new Forwarder(forwarding, { layer, log, failed: () => undefined });
  log.info('forwarding', { queue: forwarding.queue });
  await stopped.promise;
  await forwarder.close();
  return 0;
}

/** @throws ConfigError with every fault; nothing was connected */
function readForward(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): ForwardCall {
  const { values, words, faults: read } = readFlags(argv, FLAGS);
  const faults = [...read];
  const said = (name: keyof typeof FLAGS): string | undefined => values.get(name) as string | undefined;
  const target = readTarget(said('layer') ?? env['BUSGATE_LAYER'] ?? '', said('prefix'), faults);
  const backend = {
    ...readWords(words, faults),
    secrets: readSecrets(said('secret-file'), faults),
    concurrency: CONCURRENCY.read(said('concurrency') ?? CONCURRENT, telling('--concurrency', faults)) ?? CONCURRENT,
  };
  if (faults.length > 0) throw new ConfigError(faults);
  return { target, forwarding: { ...backend, acceptTimeout: ACCEPT_TIMEOUT_MS, handlerTimeout: HANDLER_TIMEOUT_MS } };
}

function readTarget(layer: string, prefix: string | undefined, faults: string[]): ForwardCall['target'] {
  if (layer === '') faults.push('--layer must be said: the broker that has the queue, such as redis://localhost:6379');
  return layerTarget(layer, prefix, undefined, layer === '' ? [] : faults);
}

function readWords(words: readonly string[], faults: string[]): Pick<Forwarding, 'queue' | 'url'> {
  const [queue = '', url = ''] = words;
  if (words.length !== 2) {
    faults.push('forward takes QUEUE and URL');
    return { queue, url };
  }
  if (!isName(queue)) faults.push(`QUEUE is ${shown(queue, false)}, but ${NAME_RULE}`);
  return { queue, url: BACKEND_URL.read(url, telling('URL', faults)) ?? '' };
}

function readSecrets(file: string | undefined, faults: string[]): readonly string[] {
  if (file === undefined) return [];
  return secretFile((path) => readFileSync(path, 'utf8')).read(file, telling('--secret-file', faults)) ?? [];
}

function telling(where: string, faults: string[]): Report {
  return (fault) => faults.push(sentence(where, fault, true));
}
