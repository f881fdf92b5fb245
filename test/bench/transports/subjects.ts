import { randomBytes } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireBinary } from '../../support/binaries.ts';
import type { Child } from '../../support/child.ts';
import { freePort } from '../../support/ports.ts';
import { GatewayProcess } from '../../support/processes.ts';
import { outputOf } from '../../outside/support/commands.ts';
import { startPinned } from '../rig/pinned.ts';

const ROUTES = "[{path: '/room/:room', kind: room, join: anyone, publish: nobody}]";
const HISTORY = '[{rooms: kept, size: 100, age: 5m}]';
const GATEWAY = join(import.meta.dirname, '../../../packages/gateway/src/cli.ts');
const INSTALL = join(import.meta.dirname, '../../support/install.sh');

/** A server under test that takes clients. */
interface Running {
  readonly child: Child;
  readonly port: number;
}

/** A server, and one of its transports. */
export interface Subject {
  readonly title: string;
  readonly server: 'busgate' | 'nchan';
  readonly path: string;
  /** Lines of the request's head, beside `Host`. */
  readonly lines: () => readonly string[];
  /** Whether it is answered only when something comes: then it is measured idle alone. */
  readonly waits?: true;
}

const upgrade = (): readonly string[] => [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
];
const accept = (type: string) => (): readonly string[] => [`Accept: ${type}`];

/** Everything compared, by the name it has on the command line, in the order of the tables. */
export const subjects: Readonly<Record<string, Subject>> = {
  websocket: { title: 'WebSocket', server: 'busgate', path: '/room/bench', lines: upgrade },
  sse: { title: 'server-sent events', server: 'busgate', path: '/room/bench', lines: accept('text/event-stream') },
  lines: { title: 'lines of JSON', server: 'busgate', path: '/room/bench', lines: accept('application/x-ndjson') },
  poll: { title: 'polls that wait', server: 'busgate', path: '/room/kept?poll=60&since=POSITION', lines: () => [], waits: true },
  'nchan-websocket': { title: 'Nchan, WebSocket', server: 'nchan', path: '/sub', lines: upgrade },
  'nchan-sse': { title: 'Nchan, server-sent events', server: 'nchan', path: '/sub', lines: accept('text/event-stream') },
};

/** What one client of a subject sends first. */
export function requestOf({ path, lines }: Subject, port: number, position: string): string {
  return [`GET ${path.replace('POSITION', position)} HTTP/1.1`, `Host: 127.0.0.1:${port}`, ...lines(), '', ''].join('\r\n');
}

/** The gateway as its users start it. */
async function startBusgate(core: number, redisUrl: string): Promise<Running> {
  const [port, opsPort] = [await freePort(), await freePort()];
  const serve = ['serve', '--layer', redisUrl, '--routes', ROUTES, '--history', HISTORY, '--port', port, '--ops-port', opsPort];
  const child = startPinned(core, process.execPath, ['--conditions=@busgate/source', GATEWAY, ...serve]);
  await new GatewayProcess(child, port, opsPort).answers('/readyz');
  return { child, port };
}

/** One worker of nginx with Nchan, which keeps messages in its own memory: no bus behind it, which is the least it can cost. */
async function startNchan(core: number): Promise<Running> {
  await outputOf('bash', [INSTALL, 'libnginx-mod-nchan']);
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'busgate-nchan-'));
  const settings = `
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off; master_process off; pid ${folder}/pid; error_log stderr error;
worker_rlimit_nofile 20000;
events { worker_connections 19000; }
http {
  access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /sub { nchan_subscriber websocket eventsource; nchan_channel_id bench; nchan_subscriber_first_message newest; }
    location = /pub { nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 1000; }
  }
}`;
  const file = join(folder, 'nginx.conf');
  await writeFile(file, settings);
  const child = startPinned(core, await requireBinary('nginx', '', 'nginx-light'), ['-c', file, '-p', folder]);
  while (!(await isAnswered(port))) if (!child.alive) throw new Error(`nginx ended:\n${child.lines.all.join('\n')}`);
  return { child, port };
}

async function isAnswered(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    async (response) => (await response.text()) !== undefined,
    () => false,
  );
}

export function start({ server }: Subject, core: number, redisUrl: string): Promise<Running> {
  return server === 'busgate' ? startBusgate(core, redisUrl) : startNchan(core);
}
