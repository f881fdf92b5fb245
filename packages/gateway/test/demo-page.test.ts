import { expect, test } from 'vitest';
import { demoFiles } from '../src/demo.ts';

const files = demoFiles();
const page = files.get('/')?.body.toString() ?? '';

test('each file has its type, a policy that lets nothing in from outside, and no sniffing', () => {
  expect([...files.keys()]).toEqual(expect.arrayContaining(['/', '/demo.js', '/demo.css', '/client/index.js', '/client/transports/sse.js']));
  for (const { headers, body } of files.values()) {
    expect(headers['Content-Security-Policy']).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'/);
    expect(headers['Content-Security-Policy']).not.toContain('unsafe');
    expect(headers).toMatchObject({ 'X-Content-Type-Options': 'nosniff', 'Content-Length': String(body.length) });
  }
});

test('the page holds no inline script or style and asks for nothing but its own files', () => {
  expect(page).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:/i);
  expect(new Set([...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, target]) => target))).toEqual(new Set(['/demo.css', '/demo.js', 'data:,']));
});

test('every module that is imported is served', () => {
  for (const [path, { body }] of files) {
    if (!path.endsWith('.js')) continue;
    const imported = [...body.toString().matchAll(/(?:\bfrom|\bimport\()\s*'([^']+)'/g)].map(([, target]) => new URL(target ?? '', `http://x${path}`).pathname);
    expect([...files.keys()], path).toEqual(expect.arrayContaining(imported));
  }
});

test('the script never makes markup of text', () => {
  expect(files.get('/demo.js')?.body.toString()).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function/);
});
