import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { openLayer, type LayerOptions } from '../src/index.ts';
import { eachCase } from '../../../test/support/each-case.ts';

describe('openLayer', () => {
  test('a URL of no layer is UNKNOWN_SCHEME, and the error names the layers there are', () =>
    eachCase(['kafka://host', '', 'localhost:6379', 'redis', '//x', 'MEMORY:', 'constructor:', undefined, 7], async (url) => {
      await expect(openLayer(url as string)).rejects.toMatchObject({
        name: 'LayerError',
        code: 'UNKNOWN_SCHEME',
        message: expect.stringContaining('memory:, redis://') as string,
      });
    }));

  test('a URL that memory cannot have is INVALID_URL, and the error says what is allowed', () =>
    eachCase(['memory://host', 'memory:a b', 'memory:a/b'], async (url) => {
      await expect(openLayer(url)).rejects.toMatchObject({ code: 'INVALID_URL', message: expect.stringContaining('memory: or memory:<name>') as string });
    }));

  test('a bad option is refused before anything is opened, and the error names those there are', async () => {
    await expect(openLayer('memory:', { capcity: 1 } as LayerOptions)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('capacity') as string,
    });
    await expect(openLayer('redis://localhost', { capacity: 0 })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  test('layers that name the same memory meet, others do not, and a bus ends with its last layer', async () => {
    const [one, other, apart] = [await openLayer('memory:open-test'), await openLayer('memory:open-test'), await openLayer('memory:')];
    await one.send('work', { n: 1 });
    await expect(other.receive('work')).resolves.toEqual({ n: 1 });
    await expect(apart.receive('work', { signal: AbortSignal.abort(new Error('nothing here')) })).rejects.toThrow('nothing here');
    await one.send('work', { n: 2 });
    await Promise.all([one.close(), other.close(), apart.close()]);
    await using fresh = await openLayer('memory:open-test');
    await fresh.send('work', { n: 3 });
    await expect(fresh.receive('work')).resolves.toEqual({ n: 3 });
  });

  test('`await using` closes', async () => {
    let layer;
    {
      await using opened = await openLayer('memory:');
      layer = opened;
    }
    expect(layer.status.state).toBe('closed');
  });
});

describe('a scheme whose package is not installed', () => {
  test('is UNKNOWN_SCHEME, and the error says what to install', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'busgate-layer-'));
    try {
      await cp(fileURLToPath(new URL('../src', import.meta.url)), folder, { recursive: true });
      await writeFile(join(folder, 'package.json'), '{"type":"module"}');
      const script = "import { openLayer } from './index.ts'; await openLayer('nats://localhost').catch(({ code, message }) => console.log(code, message));";
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: folder });
      expect(stdout.trim()).toBe('UNKNOWN_SCHEME nats: needs the package @busgate/layer-nats: npm install @busgate/layer-nats');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
