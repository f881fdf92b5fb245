import { consumer } from '@busgate/consumer';

/** Sends back what it is sent, but throws at the word for it. */
export default consumer(async (socket) => {
  for await (const message of socket) {
    if (message === 'throw') throw new Error('no luck');
    await socket.send(message);
  }
});
