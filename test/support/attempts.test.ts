import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { inTime } from '../../packages/layer/src/conformance/expect.ts';

const COUNT = join(import.meta.dirname, '../../.ci/count.mjs');

test('what depends on the machine is attempted again where that was too slow, and each further attempt is told', async () => {
  const told: unknown[] = [];
  const tell = (error: unknown): void => void told.push(error);
  subscribe('busgate:conformance:attempted-again', tell);
  try {
    let attempts = 0;
    await inTime(0, async () => {
      attempts += 1;
      if (attempts < 3) throw new Error(`slow ${attempts}`);
    });
    expect(told.map(String)).toEqual(['Error: slow 1', 'Error: slow 2']);
    // Wrong, and not late.
    await expect(inTime(60_000, () => Promise.reject(new Error('wrong')))).rejects.toThrow('wrong');
    expect(told).toHaveLength(2);
  } finally {
    unsubscribe('busgate:conformance:attempted-again', tell);
  }
});

test('continuous integration prints how often, and where', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'busgate-count-'));
  const assertionResults = [
    { status: 'passed', fullName: 'quick', failureMessages: [], meta: {} },
    { status: 'passed', fullName: 'slow', failureMessages: [], meta: { attemptedAgain: 2 } },
  ];
  await writeFile(join(folder.path, 'inner.json'), JSON.stringify({ testResults: [{ name: 'a.test.ts', status: 'passed', assertionResults }] }));
  await writeFile(join(folder.path, 'inner.status'), '0');
  const { stdout } = await promisify(execFile)(process.execPath, [COUNT, folder.path, 'inner']);
  expect(stdout.trim().split('\n').slice(-3)).toEqual([
    expect.stringMatching(/^ATTEMPTED AGAIN .*a\.test\.ts: slow: 2$/),
    'inner: 2 passed, 0 failed, 0 skipped; 2 attempted again',
    '2 passed, 0 failed',
  ]);
});
