import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadStatic, loadStyles, type StaticFile } from '../static-files.ts';

/** Where the page's files lie, in the sources and in what is built of them. */
const PAGE = fileURLToPath(new URL('./page', import.meta.url));
const INDEX = 'index.html';
const STYLES = 'ops.css';

/** The files of the operator's page by path. What they show is asked of the API, with the key; they themselves hold nothing. */
export function pageFiles(): ReadonlyMap<string, StaticFile> {
  const others = readdirSync(PAGE).filter((name) => name !== INDEX && name !== STYLES);
  const own: [string, StaticFile][] = [
    ['/', loadStatic(join(PAGE, INDEX))],
    [`/page/${STYLES}`, loadStyles(join(PAGE, STYLES))],
  ];
  return new Map([...own, ...others.map((name): [string, StaticFile] => [`/page/${name}`, loadStatic(join(PAGE, name))])]);
}
