import type { Begin } from './work.ts';

export const MESSAGE = { type: 'bench.message', text: 'x'.repeat(100) };
/** Messages that were sent and not yet received, at any time. */
const ON_THEIR_WAY = 64;

/** Sends and receives that many messages through one queue; each of `readers` receives the next one, and one more is sent for each that was received. */
export async function throughQueue(total: number, send: () => Promise<unknown>, readers: readonly (() => Promise<unknown>)[], begin: Begin): Promise<number> {
  let sent = 0;
  let received = 0;
  const sendNext = async (): Promise<void> => {
    if (sent >= total) return;
    sent += 1;
    await send();
  };
  const { promise, resolve } = Promise.withResolvers<void>();
  const read = async (receive: () => Promise<unknown>): Promise<void> => {
    while (received < total) {
      await receive();
      received += 1;
      if (received === total) resolve();
      void sendNext();
    }
  };
  await begin();
  for (const receive of readers) void read(receive);
  for (let message = 0; message < ON_THEIR_WAY; message += 1) void sendNext();
  await promise;
  return total;
}
