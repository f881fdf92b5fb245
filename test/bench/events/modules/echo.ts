import { consumer, handlers, router } from '@busgate/consumer';

const echo = consumer(async (socket) => {
  for await (const message of socket) await socket.send(message);
});

const all = consumer(async (socket) => {
  await socket.rooms.join('all');
  for await (const message of socket) await socket.rooms.publish('all', message);
});

/** The application under measurement, for workers and in the gateway's process. */
export default router({ '/echo': echo, '/all': all, '/idle': handlers({}) });
