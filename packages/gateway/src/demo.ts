import type { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';

/** A file of the demo page, whole. */
export interface DemoFile {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8' } as const;

/** The page needs its own three files and sockets to where it came from, nothing else. */
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
    ['/', load('index.html', 'html')],
    ['/demo.js', load('demo.js', 'js')],
    ['/demo.css', load('demo.css', 'css')],
  ]);
}

/** The files lie beside this one, in the sources and in what is built of them. */
function load(name: string, type: keyof typeof TYPES): DemoFile {
  const body = readFileSync(new URL(`./demo/${name}`, import.meta.url));
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
