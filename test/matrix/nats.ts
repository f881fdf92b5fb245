import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { startNats } from '../support/brokers.ts';

const run = promisify(execFile);

/** The newest of each line that is newer than Debian's; built by Go, which gets them as it gets any module. */
const VERSIONS = ['v2.10.29', 'v2.11.11', 'v2.12.3'];
const TESTS = ['run', '--project', 'conformance', 'packages/layer-nats'];

/** The outcome of the NATS layer's suite and fault tests on one server. */
interface Row {
  readonly server: string;
  readonly outcome: string;
}

/** A row for each version; none where there is no Go. */
export async function natsRows(): Promise<readonly Row[]> {
  const go = await run('go', ['version']).catch(() => undefined);
  const rows: Row[] = [];
  for (const version of go === undefined ? [] : VERSIONS)
    rows.push({ server: `nats-server ${version}`, outcome: `${version.slice(1)} | ${await attempt(version)}` });
  return rows;
}

async function attempt(version: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'busgate-matrix-'));
  const path = process.env['PATH'] ?? '';
  try {
    await run('go', ['install', `github.com/nats-io/nats-server/v2@${version}`], { env: { ...process.env, GOBIN: folder } });
    // The tests' own servers are found where the path says first.
    process.env['PATH'] = `${folder}${delimiter}${path}`;
    await using nats = await startNats();
    const env = { ...process.env, NATS_URL: nats.url, NO_COLOR: '1' };
    const { stdout } = await run(process.execPath, ['node_modules/vitest/vitest.mjs', ...TESTS], { env }).catch((error: { stdout: string }) => error);
    console.log(stdout);
    return /Tests\s+(.*)/.exec(stdout)?.[1] ?? 'did not run';
  } catch (error) {
    return `not to be had: ${String(error).split('\n')[0]}`;
  } finally {
    process.env['PATH'] = path;
    await rm(folder, { recursive: true, force: true });
  }
}
