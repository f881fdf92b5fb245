import { setImmediate } from 'node:timers';

/**
 * Calls `look` every so many milliseconds until it answers false, or the function is called that this one returns. Who judges a peer counts these looks
 * and reads no clock: a process that was held up, or stopped, has one look less, and has read and written what its sockets had before the next.
 */
export function everyLook(ms: number, look: () => boolean): () => void {
  let isOver = false;
  let timer: NodeJS.Timeout;
  const again = (): void => {
    // Timers run before what the sockets have.
    timer = setTimeout(() => void setImmediate(judge), ms).unref();
  };
  const judge = (): void => {
    if (!isOver && look() && !isOver) again();
  };
  again();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}
