import { execFile } from 'node:child_process';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '../../outside/support/until.ts';
import type { Child } from '../../support/child.ts';
import { startPinned } from './pinned.ts';

const MODULE = 'github.com/centrifugal/centrifugo/v6@v6.9.1';
const FOLDER = join(tmpdir(), 'busgate-bench-centrifugo-6.9.1');

/** A Centrifugo on one core, whose settings are taken from these, with a port and without a log of what is in order. Built with Go where it was not yet. */
export async function startCentrifugo(core: number, port: number, settings: Readonly<Record<string, unknown>>): Promise<Child> {
  const binary = join(FOLDER, 'centrifugo');
  await access(binary).catch(() => promisify(execFile)('go', ['install', MODULE], { env: { ...process.env, GOFLAGS: '-mod=mod', GOBIN: FOLDER } }));
  const folder = await mkdtemp(join(tmpdir(), 'busgate-centrifugo-'));
  const file = join(folder, 'config.json');
  await writeFile(
    file,
    JSON.stringify({ http_server: { port: `${port}`, address: '127.0.0.1' }, log: { level: 'error' }, health: { enabled: true }, ...settings }),
  );
  const child = startPinned(core, binary, ['-c', file]);
  void child.exited.then(() => rm(folder, { recursive: true }));
  await until(
    'Centrifugo is there',
    async () => {
      if (!child.alive) throw new Error(child.lines.all.join('\n'));
      return (await fetch(`http://127.0.0.1:${port}/health`)).status;
    },
    (status) => status === 200,
  );
  return child;
}
