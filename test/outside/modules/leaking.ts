import { setImmediate } from 'node:timers/promises';
import { consumer } from '@busgate/consumer';

const kept: object[] = [];

/** Says its process, and whatever it is sent; from `leak` on it keeps more and more, a little in each turn of the loop, until there is no memory left. */
export default consumer(async (socket) => {
  await socket.send(`${process.pid}`);
  for await (const message of socket) {
    await socket.send(String(message));
    for (; message === 'leak'; await setImmediate()) kept.push(Array.from({ length: 50_000 }, (_, number) => ({ number })));
  }
});
