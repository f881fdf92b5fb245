import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadStatic, loadStyles, type StaticFile } from './static-files.ts';

/** Where the page's own files lie, in the sources and in what is built of them. */
const PAGE = fileURLToPath(new URL('./demo', import.meta.url));

/** The files of the demo page by path. */
export function demoFiles(): ReadonlyMap<string, StaticFile> {
  return new Map([
    ['/', loadStatic(join(PAGE, 'index.html'))],
    ['/demo.js', loadStatic(join(PAGE, 'demo.js'))],
    ['/demo.css', loadStyles(join(PAGE, 'demo.css'))],
    ...clientFiles(),
  ]);
}

/** The client under `/client/`, as it was built: a browser takes its modules as they are. */
function clientFiles(): [path: string, file: StaticFile][] {
  const folder = join(dirname(createRequire(import.meta.url).resolve('@busgate/client/package.json')), 'dist');
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'));
  return names.map((name) => [`/client/${name.replaceAll('\\', '/')}`, loadStatic(join(folder, name))]);
}
