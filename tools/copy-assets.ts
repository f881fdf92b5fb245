/**
 * The second step of the build: what the sources read at run time beside code (scripts of a broker, the demo page) goes to the same place in dist,
 * so that `new URL('./name', import.meta.url)` finds it in both.
 */
import { cp, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const { references } = JSON.parse(await readFile(join(ROOT, 'tsconfig.build.json'), 'utf8')) as { references: { path: string }[] };

for (const { path } of references) {
  await cp(join(ROOT, path, 'src'), join(ROOT, path, 'dist'), {
    recursive: true,
    filter: async (source) => !source.endsWith('.ts') || (await stat(source)).isDirectory(),
  });
}
