import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { dependencies } from './documents/dependencies.ts';

const ROOT = join(import.meta.dirname, '../../..');
/** Licences that ask for nothing but to be named. */
const FREE = ['MIT', 'ISC', 'Apache-2.0', 'Unlicense'];
/** Older ones end at many small fragments (CVE-2026-48779). */
const LEAST_WS = [8, 21];

test('what users install runs nothing when it is installed, is what the lock file says to the byte, and may be used by everybody', () => {
  const all = dependencies();
  expect(all.map(({ name }) => name)).toEqual(expect.arrayContaining(['ioredis', 'jose', 'nats', 'ws']));
  expect(
    all.filter(({ hasInstallScript, integrity, license }) => hasInstallScript === true || !integrity?.startsWith('sha512-') || !FREE.includes(license ?? '')),
  ).toEqual([]);
});

test('of what is installed in a checkout only the scripts run that package.json allows: that of node', () => {
  const { allowScripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly allowScripts: Readonly<Record<string, boolean>> };
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>;
  };
  const scripted = Object.entries(packages).flatMap(([path, { hasInstallScript }]) =>
    path !== '' && hasInstallScript ? [path.replace(/^.*node_modules\//, '')] : [],
  );
  expect(Object.keys(allowScripts).toSorted()).toEqual(scripted.toSorted());
  expect(Object.keys(allowScripts).filter((name) => allowScripts[name])).toEqual(['node']);
});

test('ws is one that no fragments end', () => {
  const [major = 0, minor = 0] = (dependencies().find(({ name }) => name === 'ws')?.version ?? '').split('.').map(Number);
  expect(major * 1000 + minor).toBeGreaterThanOrEqual((LEAST_WS[0] ?? 0) * 1000 + (LEAST_WS[1] ?? 0));
});
