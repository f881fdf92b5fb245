import { access } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { consumer } from '@busgate/consumer';

const LOOK_MS = 10;

/** Answers the name of a file twice, once that is there; says on its output when it has the name, and when it answers. */
export default consumer(async (socket) => {
  for await (const message of socket) {
    const file = String(message);
    console.log(`waits for ${basename(file)}`);
    while (!(await isThere(file))) await sleep(LOOK_MS);
    console.log(`answers ${basename(file)}`);
    void socket.send('first');
    await socket.send('second');
  }
});

function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
