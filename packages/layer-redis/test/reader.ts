import { writeSync } from 'node:fs';
import { openLayer } from '@busgate/layer';

/** Reads the queue `jobs` and writes the number of each message as a line, until it gets a negative one. */
await using layer = await openLayer(process.argv[2] as string);
for (;;) {
  const { n } = await layer.receive('jobs');
  if (typeof n !== 'number' || n < 0) break;
  writeSync(1, `${n}\n`);
}
