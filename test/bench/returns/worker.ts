/** `worker.ts <port> <clients> <messages missed> <positions, a room each, as JSON>`: a process of clients that come back at once, in turn to each room. */
import { work } from '../rig/work.ts';
import { comeBack } from './client.ts';
import { lastOf, roomOf } from './rooms.ts';

/** Connections that are being opened at any time: what the queue of a listening socket takes. */
const AT_ONCE = 256;

const [port = 0, clients = 0, missed = 0] = process.argv.slice(2, 5).map(Number);
const positions = JSON.parse(process.argv[5] ?? '[]') as string[];

await work(async (begin) => {
  await begin();
  let next = 0;
  const oneAfterTheOther = async (): Promise<void> => {
    while (next < clients) {
      const room = next++ % positions.length;
      await comeBack({ port, room: roomOf(room), since: positions[room] ?? '', missed, last: lastOf(missed) });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, oneAfterTheOther));
  return clients;
});
