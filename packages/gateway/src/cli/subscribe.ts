import { ConfigError } from '../config/faults.ts';
import { openOutput } from '../stdio.ts';
import { outputTo } from './output.ts';
import { subscribeGateway } from './subscribe-gateway.ts';
import { subscribeLayer } from './subscribe-layer.ts';
import { readCall } from './target.ts';

const FLUSH_MS = 1000;

/**
 * `busgate subscribe ROOM`: each payload and a line feed on standard output, as they come.
 * @returns 0 after SIGINT, SIGTERM or when nobody reads the output any more; 1 where the room cannot be had
 */
export async function subscribe(argv: readonly string[]): Promise<number> {
  const { room, words, target } = readCall(argv);
  if (words.length > 0) throw new ConfigError(['subscribe takes one ROOM']);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());
  const stdout = openOutput(1);
  stdout.on('error', () => stop.abort());
  const output = outputTo(stdout, stop.signal);
  try {
    return target.kind === 'gateway'
      ? await subscribeGateway(target.url, room, output, stop.signal)
      : await subscribeLayer(target.url, target.options, room, output, stop.signal);
  } finally {
    // A reader that stands still does not hold the end.
    if (stdout.writableLength > 0) setTimeout(() => stdout.destroy(), FLUSH_MS);
  }
}
