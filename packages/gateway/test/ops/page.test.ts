import { expect, test } from 'vitest';
import { pageFiles } from '../../src/ops/page.ts';

const files = pageFiles();
const page = files.get('/')?.body.toString() ?? '';

test('each file has its type, a policy that lets nothing in from outside, and no sniffing', () => {
  expect([...files.keys()]).toEqual(expect.arrayContaining(['/', '/page/main.js', '/page/ops.css']));
  for (const { headers, body } of files.values()) {
    expect(headers['Content-Security-Policy']).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'/);
    expect(headers).toMatchObject({ 'X-Content-Type-Options': 'nosniff', 'Content-Length': String(body.length) });
  }
});

test('the page holds no inline script or style and asks for nothing but its own files, so it works without the internet', () => {
  expect(page).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:/i);
  expect(new Set([...page.matchAll(/(?:src|href)="([^"#][^"]*)"/g)].map(([, target]) => target))).toEqual(
    new Set(['/page/ops.css', '/page/main.js', 'data:,']),
  );
  expect(files.get('/page/ops.css')?.body.toString()).not.toMatch(/url\(|@import/);
});

test('every module that is imported is served, and none makes markup of text', () => {
  for (const [path, { body }] of files) {
    if (!path.endsWith('.js')) continue;
    const text = body.toString();
    const imported = [...text.matchAll(/\bfrom\s*'([^']+)'/g)].map(([, target]) => new URL(target ?? '', `http://x${path}`).pathname);
    expect([...files.keys()], path).toEqual(expect.arrayContaining(imported));
    expect(text, path).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function/);
  }
});
