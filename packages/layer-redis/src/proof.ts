import { setImmediate, setTimeout } from 'node:timers/promises';
import { LayerError } from '@busgate/layer/driver';
import type { Connection } from './connection.ts';

/** How long a connection may say nothing while it owes an answer. */
const SILENCE_MS = 2000;
/** How often that may pass while other bytes still come. */
const PATIENCE = 5;

/**
 * Waits for what must come through a connection. One that stays silent meanwhile is ended; one that is busy with other things has more time.
 * @throws LayerError LAYER_AWAY
 */
export async function within<T>(connection: Connection, what: string, awaited: Promise<T>): Promise<T> {
  const done = new AbortController();
  const settled = awaited.finally(() => done.abort());
  // Handled by whoever awaits `settled` below; here only the race is of interest.
  settled.catch(() => undefined);
  for (let round = 0; round < PATIENCE; round += 1) {
    const before = connection.bytesRead;
    await setTimeout(SILENCE_MS, undefined, { signal: done.signal }).catch(() => undefined);
    // Timers run before what the sockets have: a process that was held up reads first and judges then.
    await setImmediate();
    if (done.signal.aborted) return settled;
    if (connection.bytesRead === before || !connection.alive) break;
  }
  const fault = connection.alive ? ({ fault: 'unresponsive' } as const) : {};
  connection.destroy(what);
  throw new LayerError('LAYER_AWAY', `${connection.node.host}:${connection.node.port}: ${what}`, fault);
}
