import { withResolvers, LayerError } from '@busgate/layer/driver';
import type { Connection } from './connection.ts';
import { everyLook } from './looks.ts';
import { addressOf } from './url.ts';

const LOOK_MS = 500;
/** At so many looks a connection may have said nothing while it owes an answer: 2 s. */
const SILENT_LOOKS = 4;
/** At so many the answer must have come, where other bytes still do: 10 s. */
const LOOKS = 20;

/**
 * Waits for what must come through a connection. One that stays silent meanwhile is ended; one that is busy with other things has more time.
 * Each connection is proved so every second, in between its messages: with bare timers, since aborting a wait makes an error with its stack, which held them up.
 * @throws LayerError LAYER_AWAY
 */
export async function within<T>(connection: Connection, what: string, awaited: Promise<T>): Promise<T> {
  const silence = withResolvers<never>();
  let looks = 0;
  let silent = 0;
  let before = connection.bytesRead;
  const stop = everyLook(LOOK_MS, () => {
    looks += 1;
    silent = connection.bytesRead === before ? silent + 1 : 0;
    before = connection.bytesRead;
    if (connection.alive && silent < SILENT_LOOKS && looks < LOOKS) return true;
    silence.reject(giveUp(connection, what));
    return false;
  });
  try {
    return await Promise.race([awaited, silence.promise]);
  } finally {
    stop();
  }
}

function giveUp(connection: Connection, what: string): LayerError {
  const fault = connection.alive ? ({ fault: 'unresponsive' } as const) : {};
  connection.destroy(what);
  return new LayerError('LAYER_AWAY', `${addressOf(connection.node)}: ${what}`, fault);
}
