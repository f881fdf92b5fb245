import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const FILE = join(import.meta.dirname, '../RESULTS.md');
/** What stands below this line in the file is written by people, and kept. */
const KEPT = '<!-- Written by hand from here on; the bench keeps it. -->';

const HEAD = `# Results of \`npm run bench\`

Written by the bench. Absolute figures belong to the machine they were measured on; compare the columns of one run.
What is measured and how: [README.md](README.md).`;

/** Writes the results down, in place of the last ones. */
export async function keep(text: string): Promise<void> {
  const old = await readFile(FILE, 'utf8').catch(() => '');
  const place = old.indexOf(KEPT);
  const notes = place < 0 ? `${KEPT}\n` : old.slice(place);
  await writeFile(FILE, `${HEAD}\n\n${text}\n\n${notes}`);
}
