import { LayerError } from '@busgate/layer/driver';
import type { Connection } from './connection.ts';

/** How long a connection may say nothing while it owes an answer. */
const SILENCE_MS = 2000;
/** How often that may pass while other bytes still come. */
const PATIENCE = 5;

/**
 * Waits for what must come through a connection. One that stays silent meanwhile is ended; one that is busy with other things has more time.
 * Each connection is proved so every second, in between its messages: with a bare timer, since aborting a wait makes an error with its stack, which held them up.
 * @throws LayerError LAYER_AWAY
 */
export async function within<T>(connection: Connection, what: string, awaited: Promise<T>): Promise<T> {
  const silence = Promise.withResolvers<never>();
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  let rounds = 0;
  let before = connection.bytesRead;
  const judge = (): void => {
    if (isOver) return;
    rounds += 1;
    if (rounds < PATIENCE && connection.alive && connection.bytesRead !== before) {
      before = connection.bytesRead;
      timer = setTimeout(listen, SILENCE_MS);
    } else {
      silence.reject(giveUp(connection, what));
    }
  };
  // Timers run before what the sockets have: a process that was held up reads first and judges then.
  const listen = (): void => void setImmediate(judge);
  timer = setTimeout(listen, SILENCE_MS);
  try {
    return await Promise.race([awaited, silence.promise]);
  } finally {
    isOver = true;
    clearTimeout(timer);
  }
}

function giveUp(connection: Connection, what: string): LayerError {
  const fault = connection.alive ? ({ fault: 'unresponsive' } as const) : {};
  connection.destroy(what);
  return new LayerError('LAYER_AWAY', `${connection.node.host}:${connection.node.port}: ${what}`, fault);
}
