import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '../../support/until.ts';
import type { Child } from '../../support/child.ts';
import { freePort } from '../../support/ports.ts';
import { startPinned } from './pinned.ts';

/** Built by Go, which gets it as it gets any module. */
const MODULE = 'github.com/centrifugal/centrifugo/v6@v6.9.1';
const BUILT = join(import.meta.dirname, '../../../node_modules/.cache/busgate-bench');

/** Makes Centrifugo ready; false, and a line that says why, where there is no Go, or it cannot be had. */
export async function hasCentrifugo(): Promise<boolean> {
  await mkdir(BUILT, { recursive: true });
  const built = await promisify(execFile)('go', ['install', MODULE], { env: { ...process.env, GOBIN: BUILT } }).catch((error: Error) => error);
  if (built instanceof Error) console.log(`Centrifugo is left out: ${built.message}`);
  return !(built instanceof Error);
}

/** One process of Centrifugo on one core, with these of its settings besides a port and a log of what is wrong. */
export async function startCentrifugo(core: number, settings: Readonly<Record<string, unknown>>): Promise<{ readonly child: Child; readonly port: number }> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'busgate-centrifugo-'));
  const file = join(folder, 'config.json');
  const own = { http_server: { port: `${port}`, address: '127.0.0.1' }, log: { level: 'error' }, health: { enabled: true } };
  await writeFile(file, JSON.stringify({ ...own, client: { insecure: true, allowed_origins: ['*'] }, ...settings }));
  const child = startPinned(core, join(BUILT, 'centrifugo'), ['-c', file]);
  void child.exited.then(() => rm(folder, { recursive: true }));
  await until(
    'Centrifugo is there',
    async () => {
      if (!child.alive) throw new Error(child.lines.all.join('\n'));
      return (await fetch(`http://127.0.0.1:${port}/health`)).status;
    },
    (status) => status === 200,
  );
  return { child, port };
}
