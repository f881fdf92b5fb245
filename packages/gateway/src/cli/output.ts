import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { note } from './reasons.ts';

const LF = Buffer.from('\n');
/** Bytes that may wait for whoever reads the output. */
const MAX_WAITING = 64 * 1024 * 1024;

/** Where payloads go. */
export interface Output {
  /** Writes a payload and a line feed. False where the reader is behind: wait for {@link drained}. */
  write(payload: Uint8Array): boolean;
  drained(): Promise<void>;
}

/** Each payload and a line feed; what a reader who is too slow would have to wait for is dropped, and said once. */
export function outputTo(stream: Writable, signal: AbortSignal): Output {
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
