import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, '..');
/** What stands below this line in the file is written by people, and kept. */
const KEPT = '<!-- Written by hand from here on; the bench keeps it. -->';

const HEAD = `# Results of \`npm run bench\`

Written by the bench. Absolute figures belong to the machine they were measured on; compare the columns of one run.
What is measured and how: [README.md](README.md).`;

/** Writes the results of a family down, in place of its last ones. */
export async function keep(text: string, name = 'RESULTS.md'): Promise<void> {
  const file = join(FOLDER, name);
  const old = await readFile(file, 'utf8').catch(() => '');
  const place = old.indexOf(KEPT);
  const notes = place < 0 ? `${KEPT}\n` : old.slice(place);
  await writeFile(file, `${HEAD}\n\n${text}\n\n${notes}`);
}
