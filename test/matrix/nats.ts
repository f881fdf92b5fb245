import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startNats } from '../support/brokers.ts';
import { missing, type Row, tally, withPrograms } from './suite.ts';

const run = promisify(execFile);

/** The newest of each line that is newer than Debian's; built by Go, which gets them as it gets any module. */
const VERSIONS = ['v2.10.29', 'v2.11.11', 'v2.12.3'];

/** A row for each version, of the layer's whole suite and its fault tests; none where there is no Go. */
export async function natsRows(): Promise<readonly Row[]> {
  const go = await run('go', ['version']).catch(() => undefined);
  const rows: Row[] = [];
  for (const version of go === undefined ? [] : VERSIONS) {
    const server = `nats-server ${version}`;
    rows.push(await withPrograms((folder) => attempt(server, version, folder)).catch((error: unknown) => missing(server, error)));
  }
  return rows;
}

async function attempt(server: string, version: string, folder: string): Promise<Row> {
  await run('go', ['install', `github.com/nats-io/nats-server/v2@${version}`], { env: { ...process.env, GOBIN: folder } });
  await using nats = await startNats();
  return { server, outcome: `${version.slice(1)} | ${await tally('conformance', ['packages/layer-nats'], { NATS_URL: nats.url })}` };
}
