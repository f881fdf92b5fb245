import { consumer, router } from '@busgate/consumer';

/** Handlers that leave behind what fails later, and one that does not. */
export default router({
  '/app/echo': consumer(async (socket) => {
    for await (const message of socket) await socket.send(message);
  }),
  '/app/rejection': consumer(async (socket) => {
    await socket.receive();
    void Promise.reject(new Error('nobody waited for me'));
    await socket.receive();
  }),
  '/app/timer': consumer(async (socket) => {
    await socket.receive();
    setTimeout(() => {
      throw new Error('from a timer');
    }, 1);
    await socket.receive();
  }),
  // Goes on to send when its client has gone, and waits for none of it.
  '/app/careless': consumer(async (socket) => {
    await socket.accept();
    const timer = setInterval(() => void socket.send('tick'), 5);
    await socket.receive().catch(() => undefined);
    setTimeout(() => clearInterval(timer), 50);
  }),
});
