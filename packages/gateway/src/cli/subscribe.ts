import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { ConfigError } from '../config/faults.ts';
import { openOutput } from '../stdio.ts';
import { note } from './reasons.ts';
import { subscribeGateway } from './subscribe-gateway.ts';
import { subscribeLayer } from './subscribe-layer.ts';
import { readCall } from './target.ts';

const LF = Buffer.from('\n');
/** Bytes that may wait for whoever reads the output. */
const MAX_WAITING = 64 * 1024 * 1024;
const FLUSH_MS = 1000;

/** Where payloads go. */
export interface Output {
  /** Writes a payload and a line feed. False where the reader is behind: wait for {@link drained}. */
  write(payload: Uint8Array): boolean;
  drained(): Promise<void>;
}

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

function outputTo(stream: Writable, signal: AbortSignal): Output {
  let dropped = false;
  let draining: Promise<void> | undefined;
  return {
    write: (payload) => {
      if (stream.writableLength <= MAX_WAITING) return stream.write(Buffer.concat([payload, LF]));
      if (!dropped) note('subscribe', 'who reads the output is too slow: messages are dropped');
      dropped = true;
      return false;
    },
    // One wait for all who ask: what had been received before the reader fell behind still comes.
    drained: () =>
      (draining ??= once(stream, 'drain', { signal })
        .catch(() => undefined)
        .then(() => (draining = undefined))),
  };
}
