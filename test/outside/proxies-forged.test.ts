import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RawClient, request, upgrade } from '../../packages/gateway/test/support/raw.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { ROOT } from './support/commands.ts';
import { packagedProxies, type ProxyName, RunningProxy } from './support/proxies.ts';
import type { PythonEnvironment } from './support/python.ts';

/** Who is not there. */
const NOBODY = '203.0.113.7';
/** The proxies connect from the first; of the second are clients that may be taken for proxies. */
const TRUSTED = ['127.0.0.1', '127.9.0.0/16'];

const EVERYTHING = [`X-Forwarded-For: ${NOBODY}`, `Forwarded: for=${NOBODY};proto=https`, 'X-Forwarded-Proto: https, https', `X-Real-IP: ${NOBODY}`];

/** What clients write to be taken for somebody else. */
const FORGERIES: readonly (readonly [name: string, lines: readonly string[]])[] = [
  ['X-Forwarded-For', [`X-Forwarded-For: ${NOBODY}`]],
  ['X-Forwarded-For twice', [`X-Forwarded-For: ${NOBODY}`, `x-forwarded-for: ${NOBODY}`]],
  ['an X-Forwarded-For that ends in the proxy', [`X-Forwarded-For: ${NOBODY}, 127.0.0.1`]],
  ['an X-Forwarded-For that has an end of its own', [`X-Forwarded-For: ${NOBODY}, `, 'X-Forwarded-For:']],
  ['an X-Forwarded-For of the connection', [`X-Forwarded-For: ${NOBODY}`, 'Connection: X-Forwarded-For, X-Forwarded-Proto']],
  ['X_Forwarded_For', [`X_Forwarded_For: ${NOBODY}`]],
  ['Forwarded', [`Forwarded: for=${NOBODY};proto=https`]],
  ['Forwarded that ends in the proxy', [`Forwarded: for=${NOBODY};proto=https, for=127.0.0.1;proto=https`]],
  ['X-Real-IP', [`X-Real-IP: ${NOBODY}`]],
  ['X-Forwarded-Proto', ['X-Forwarded-Proto: https']],
  ['everything', EVERYTHING],
];

interface Case {
  readonly name: string;
  readonly proxy: ProxyName;
  readonly edit?: (text: string, gateway: GatewayProcess) => string;
  readonly settings?: object;
}

const CASES: readonly Case[] = [
  { name: 'nginx', proxy: 'nginx' },
  { name: 'haproxy', proxy: 'haproxy' },
  {
    name: 'haproxy of the Compose file',
    proxy: 'haproxy in a container',
    // No names of Docker's are here.
    edit: (text, { port }) =>
      text
        .replaceAll(/server-template .*/g, `server gateway 127.0.0.1:${port}`)
        .replaceAll(/( port \d+.*) resolvers .*/g, '$1')
        .replace(/^frontend ops\n[^]*/m, ''),
  },
  {
    name: 'haproxy with the PROXY protocol',
    proxy: 'haproxy',
    edit: (text) => text.replaceAll(/default-server /g, '$&send-proxy-v2 '),
    settings: { proxy_protocol: true },
  },
  { name: 'envoy', proxy: 'envoy' },
  { name: 'caddy', proxy: 'caddy' },
  { name: 'traefik', proxy: 'traefik' },
];

let scratch: string;
let packaged: PythonEnvironment;

beforeAll(async () => {
  packaged = await packagedProxies();
  scratch = await mkdtemp(join(tmpdir(), 'busgate-forged-'));
});
afterAll(async () => {
  await packaged?.[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true, force: true });
});

async function start({ settings }: Case): Promise<GatewayProcess> {
  const config = join(await mkdtemp(join(scratch, 'gateway-')), 'busgate.yaml');
  const module = join(ROOT, 'test/outside/modules/asker.ts');
  const all = {
    layer: 'memory:',
    trusted_proxies: TRUSTED,
    limits: { address: { sessions: 1 } },
    drain: { notice: '0s' },
    routes: [
      { path: '/asker', kind: 'consumer', module },
      { path: '/room/:room', kind: 'room', join: 'anyone', publish: 'anyone' },
    ],
    ...settings,
  };
  await writeFile(config, JSON.stringify(all));
  return startGateway({ args: ['--config', config] });
}

describe.each(CASES)('through $name', (served) => {
  let gateway: GatewayProcess;
  let proxy: RunningProxy;
  beforeAll(async () => {
    gateway = await start(served);
    proxy = await (await RunningProxy.start(served.proxy, [gateway, gateway, gateway], (text) => served.edit?.(text, gateway) ?? text, packaged)).ready();
  });
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await gateway?.[Symbol.asyncDispose]();
  });

  /** Who is there, and writes this among the headers of an upgrade. */
  async function upgrading(path: string, address: string, lines: readonly string[]): Promise<RawClient> {
    const client = await RawClient.connect(proxy.port, address);
    client.write(upgrade(path).replace('\r\n\r\n', ['', ...lines, '', ''].join('\r\n')));
    return client;
  }

  async function taken(address: string, lines: readonly string[]): Promise<unknown> {
    await using client = await upgrading('/asker', address, lines);
    expect((await client.answer()).status).toBe(101);
    await client.until(({ length }) => length > 0);
    return JSON.parse(String(client.frames[0]?.payload));
  }

  test.concurrent.for(FORGERIES.map(([name, lines], index) => ({ name, lines, index })))(
    'nobody is taken for another who writes $name',
    async ({ lines, index }) => {
      const addresses = [`127.1.0.${index + 1}`, `127.9.0.${index + 1}`];
      const found = await Promise.all(addresses.map((address) => taken(address, lines)));
      expect(found).toEqual(addresses.map((address) => ({ address, scheme: 'ws' })));
    },
  );

  test.concurrent.for(['127.2.0', '127.9.2'])('each has the sessions of its own address, whatever it writes: %s', async (network) => {
    const statuses: number[] = [];
    await using stack = new AsyncDisposableStack();
    for (const address of [`${network}.1`, `${network}.1`, `${network}.2`, `${network}.2`]) {
      const client = stack.use(
        await upgrading('/room/1', address, [`X-Forwarded-For: 203.0.113.${statuses.length}`, `Forwarded: for=203.0.113.${statuses.length}`]),
      );
      statuses.push((await client.answer()).status);
    }
    expect(statuses).toEqual([101, 429, 101, 429]);
  });

  test('the log says who it was, one after another over the same connections to the gateway', async () => {
    const asked = ['127.3.0.1', '127.3.0.2', '127.9.3.1', '127.3.0.1'];
    for (const address of asked) {
      await using client = await RawClient.connect(proxy.port, address);
      client.write(request('POST /room/1 HTTP/1.1', 'Host: a', 'Origin: https://elsewhere.example', ...EVERYTHING, 'Content-Length: 1'), 'x');
      expect((await client.answer()).status).toBe(403);
    }
    const said = (lines: readonly string[]): string[] => lines.filter((line) => line.includes('elsewhere.example'));
    await gateway.lines.until((lines) => said(lines).length === asked.length, 'a line for each');
    expect(said(gateway.lines.all).map((line) => /127[.\d]+|203[.\d]+/.exec(line)?.[0])).toEqual(asked);
  });

  test('what only a proxy may begin with is no request', async () => {
    await using client = await RawClient.connect(proxy.port, '127.4.0.1');
    client.write(`PROXY TCP4 ${NOBODY} 127.0.0.1 5555 80\r\n`, upgrade('/asker'));
    expect((await client.answer()).status).toBe(400);
  });
});
