import { Buffer } from 'node:buffer';
import { writeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { openLayer } from '@busgate/layer';

/** Now and then a reader is busy for so long, and keeps what it was given ahead. */
const STALL_EACH = 997;
const STALL_MS = 300;

/** Says that it is `reading`; then reads the queue `jobs` and writes the number of each message as a line, until it gets a negative one. */
await using layer = await openLayer(process.argv[2] as string);
write('reading\n');
for (;;) {
  const { n } = await layer.receive('jobs');
  if (typeof n !== 'number' || n < 0) break;
  write(`${n}\n`);
  if (n % STALL_EACH === 0) await setTimeout(STALL_MS);
}

/** Returns when the pipe has taken it, so that a reader that is killed has told all that it had been given. */
function write(line: string): void {
  for (let rest = Buffer.from(line); rest.length > 0;) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}
