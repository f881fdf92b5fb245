import type { Buffer } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A file of the demo page, whole. */
export interface DemoFile {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8' } as const;

/** Where the page's own files lie, in the sources and in what is built of them. */
const PAGE = fileURLToPath(new URL('./demo', import.meta.url));

/** The page needs its own files and connections to where it came from, nothing else. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The files of the demo page by path. */
export function demoFiles(): ReadonlyMap<string, DemoFile> {
  return new Map([
    ['/', load(join(PAGE, 'index.html'), 'html')],
    ['/demo.js', load(join(PAGE, 'demo.js'), 'js')],
    ['/demo.css', load(join(PAGE, 'demo.css'), 'css')],
    ...clientFiles(),
  ]);
}

/** The client under `/client/`, as it was built: a browser takes its modules as they are. */
function clientFiles(): [path: string, file: DemoFile][] {
  const folder = join(dirname(createRequire(import.meta.url).resolve('@busgate/client/package.json')), 'dist');
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'));
  return names.map((name) => [`/client/${name.replaceAll('\\', '/')}`, load(join(folder, name), 'js')]);
}

function load(file: string, type: keyof typeof TYPES): DemoFile {
  const body = readFileSync(file);
  return {
    body,
    headers: {
      'Content-Type': TYPES[type],
      'Content-Length': String(body.length),
      'Content-Security-Policy': POLICY,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cache-Control': 'no-cache',
    },
  };
}
