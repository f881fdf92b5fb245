import { describe, expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { packageWith } from '../support/command-package.ts';

describe.each([
  ['built', 'dist/cli.js', []],
  ['from sources, in a process that it starts', 'src/cli.ts', ['--conditions=@busgate/source']],
])('the command %s', (_, file, conditions) => {
  test('gets its arguments, each signal once, and its exit code out', async () => {
    await using folder = await packageWith(file);
    await using child = new Child(process.execPath, [folder.bin, 'publish', 'a b', '--url=x'], { stdin: 'pipe' });
    expect(JSON.parse(await child.output.next())).toEqual({ args: ['publish', 'a b', '--url=x'], conditions, node: process.version, marks: [] });
    child.signal('SIGTERM');
    expect(await child.output.next()).toBe('SIGTERM');
    child.signal('SIGINT');
    expect(await child.output.next()).toBe('SIGINT');
    child.write('end\n');
    expect(await child.exited).toEqual({ code: 7, signal: null });
    expect(child.output.all).toHaveLength(3);
  });

  // A child is gone when its output is closed, which a process that it started would hold open.
  test('leaves nothing running when it is killed', async () => {
    await using folder = await packageWith(file);
    await using child = new Child(process.execPath, [folder.bin], { stdin: 'pipe' });
    await child.output.next();
    expect(await child.kill()).toEqual({ code: null, signal: 'SIGKILL' });
  });
});
