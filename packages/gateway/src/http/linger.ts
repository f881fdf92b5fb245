import type { Duplex } from 'node:stream';

/** A peer that sends nothing for so long has read what it will, in milliseconds. */
const SILENCE_MS = 2000;
/** And one that does not end is cut off after so many of these. */
const MAX_LOOKS = 15;

/** For sockets that nobody else listens to: an error that nobody listens for ends the process. */
export function destroyOnError(socket: Duplex): void {
  socket.on('error', destroy);
}

/** Somebody else listens again. */
export function undoDestroyOnError(socket: Duplex): void {
  socket.off('error', destroy);
}

function destroy(this: Duplex): void {
  this.destroy();
}

/**
 * Reads and drops what a refused peer still sends, for 2 s of silence or 30 s in all, since a connection that is closed with bytes unread is reset, and the answer
 * lost with it (RFC 9112 section 9.6). Its writing side must have been ended.
 */
export function linger(socket: Duplex & { readonly bytesRead?: number }): void {
  if (socket.destroyed) return;
  let looks = 0;
  let read = socket.bytesRead;
  const timer = setInterval(() => {
    looks += 1;
    if (socket.bytesRead === read || looks >= MAX_LOOKS) socket.destroy();
    read = socket.bytesRead;
  }, SILENCE_MS).unref();
  socket.once('close', () => clearInterval(timer));
  socket.resume();
}
