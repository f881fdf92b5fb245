import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A file that a browser is given, whole. */
export interface StaticFile {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
};

/** A page needs its own files and connections to where it came from, nothing else. */
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

/** What all pages look like, before what is a page's own. */
const BASE = fileURLToPath(new URL('./static/base.css', import.meta.url));

/** Reads the styles of a page. */
export function loadStyles(file: string): StaticFile {
  return served(file, Buffer.concat([readFileSync(BASE), readFileSync(file)]));
}

/** Reads a file, with the headers that it is served with. */
export function loadStatic(file: string): StaticFile {
  return served(file, readFileSync(file));
}

function served(file: string, body: Buffer): StaticFile {
  return {
    body,
    headers: {
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      'Content-Length': String(body.length),
      'Content-Security-Policy': POLICY,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cache-Control': 'no-cache',
    },
  };
}
