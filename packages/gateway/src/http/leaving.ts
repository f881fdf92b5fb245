import type { Socket } from 'node:net';

/**
 * Calls `left` once should the client go while its upgrade waits for an answer; until the function that this answers is called. What the client has sent before stays to be
 * read. One that has sent something and then goes is only noticed when its connection breaks: its end stands behind what nobody may read yet.
 */
export function watchLeaving(tcp: Socket, left: () => void): () => void {
  const stop = (): void => {
    tcp.off('close', leave);
    tcp.off('end', leave);
    tcp.off('readable', look);
  };
  const leave = (): void => {
    stop();
    left();
  };
  const look = (): void => {
    const sent: Buffer | null = tcp.read();
    if (sent === null) return;
    tcp.off('readable', look);
    tcp.unshift(sent);
  };
  tcp.once('close', leave);
  tcp.once('end', leave);
  tcp.on('readable', look);
  return stop;
}
