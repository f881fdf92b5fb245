import { consumer } from '@busgate/consumer';

/** Tells each who asks for whom it takes it, and over what. */
export default consumer(async (socket) => {
  const { client, scheme } = socket.request;
  await socket.send({ address: client[0], scheme });
  for await (const _ of socket);
});
