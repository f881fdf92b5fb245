import { consumer } from '@busgate/consumer';

/** Sends back what it is sent, behind the id of its process. */
export default consumer(async (socket) => {
  for await (const message of socket) await socket.send(`${process.pid} ${String(message)}`);
});
