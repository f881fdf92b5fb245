import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireBinary } from '../../support/binaries.ts';
import type { Child } from '../../support/child.ts';
import { freePort } from '../../support/ports.ts';
import { outputOf } from '../../outside/support/commands.ts';
import { startCentrifugo } from '../rig/centrifugo.ts';
import { startPinned } from '../rig/pinned.ts';

const INSTALL = join(import.meta.dirname, '../../support/install.sh');

/** A server under test that takes clients. */
export interface Running {
  readonly child: Child;
  readonly port: number;
}

/** One worker of nginx with Nchan, which keeps messages in its own memory: no bus behind it, which is the least it can cost. */
export async function startNchan(core: number): Promise<Running> {
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
  keepalive_requests 1000000000; keepalive_timeout 1h;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    nchan_channel_id bench;
    location = /sub { nchan_subscriber websocket eventsource; nchan_subscriber_first_message newest; }
    location = /poll { nchan_subscriber longpoll; nchan_subscriber_first_message oldest; }
    location = /pub { nchan_publisher; nchan_message_buffer_length 1000; }
  }
}`;
  const file = join(folder, 'nginx.conf');
  await writeFile(file, settings);
  const child = startPinned(core, await requireBinary('nginx', '', 'nginx-light'), ['-c', file, '-p', folder]);
  void child.exited.then(() => rm(folder, { recursive: true }));
  return serving(child, port);
}

/** One process of Centrifugo with its Redis engine, whose clients say with the request where they want to be. */
export function startOneWayCentrifugo(core: number, redisUrl: string): Promise<Running> {
  return startCentrifugo(core, {
    engine: { type: 'redis', redis: { address: [redisUrl] } },
    channel: { without_namespace: { allow_subscribe_for_client: true, allow_subscribe_for_anonymous: true } },
    http_api: { insecure: true },
    uni_sse: { enabled: true },
    uni_websocket: { enabled: true },
  });
}

/** Resolves once the server answers. */
async function serving(child: Child, port: number): Promise<Running> {
  while (!(await isAnswered(port))) if (!child.alive) throw new Error(`the server ended:\n${child.lines.all.join('\n')}`);
  return { child, port };
}

async function isAnswered(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    async (response) => (await response.text()) !== undefined,
    () => false,
  );
}
