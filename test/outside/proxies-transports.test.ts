import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, connect, type Room, type TransportName } from '../../packages/client/src/index.ts';
import { Client } from '../e2e/clients.ts';
import { requireBinary } from '../support/binaries.ts';
import { type Broker, startRedis } from '../support/brokers.ts';
import { Collector } from '../support/events.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { startBrowser } from './support/browser.ts';
import { outputOf } from './support/commands.ts';
import { packagedProxies, type ProxyName, RunningProxy } from './support/proxies.ts';
import type { PythonEnvironment } from './support/python.ts';
import { until } from '../support/until.ts';
import { Wire } from './support/wire.ts';

/** The heartbeat of the gateways fits the shortest idle timeout below as the defaults (25 s) fit the one of the files (60 s). */
const GATEWAY = ['--demo', '--drain-notice', '0s', '--heartbeat-interval', '700ms', '--history', '[{rooms: "kept.>", size: 100, age: 5m}]'];
const IDLE = '2s';
/** Signs of life, one every 700 ms, that come in more than twice that time. */
const SIGNS = 7;

let scratch: string;
let packaged: PythonEnvironment;
let redis: Broker;
let gateways: GatewayProcess[];
let browser: Browser;
/** The certificate of all that speak TLS. */
let ca: string;

type Edit = (text: string) => string;

function replacing(pattern: RegExp, text: string): Edit {
  return (file) => {
    expect(file).toMatch(pattern);
    return file.replaceAll(pattern, text);
  };
}

const certificate = (): string => join(scratch, 'localhost.pem');

/** What people have done to their proxies. */
const NGINX = {
  buffered: replacing(/proxy_buffering off;/g, 'proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;'),
  noUpgrade: replacing(/proxy_set_header (Upgrade|Connection) .*;/g, "proxy_set_header $1 '';"),
  unsaid: replacing(/proxy_set_header X-Forwarded-.*;/g, ''),
  compressing: replacing(/proxy_buffering on;/g, '$& gzip on; gzip_proxied any; gzip_types text/event-stream application/x-ndjson;'),
  idle: replacing(/proxy_(read|send)_timeout 60s;/g, `proxy_$1_timeout ${IDLE};`),
  http2: (file: string) => replacing(/listen (.*);/g, `listen $1 ssl http2; ssl_certificate ${certificate()}; ssl_certificate_key ${certificate()};`)(file),
};
const HAPROXY = {
  noUpgrade: replacing(/^ {2}use_backend/gm, '  http-request del-header Upgrade\n$&'),
  refused: replacing(/^ {2}use_backend/gm, '  http-request deny deny_status 403 if { req.hdr(Upgrade) -m found } or { method CONNECT }\n$&'),
  compressing: replacing(/^defaults$/gm, '$&\n  compression algo gzip\n  compression type text/event-stream application/x-ndjson application/json'),
  idle: replacing(/timeout (client|server|tunnel) 60s/g, `timeout $1 ${IDLE}`),
  http2: (file: string) => replacing(/bind .*/g, `$& ssl crt ${certificate()} alpn h2,http/1.1`)(file),
};

interface Case {
  readonly proxy: ProxyName;
  readonly name: string;
  readonly edits: readonly Edit[];
  /** Over what the client gets through. */
  readonly transport: TransportName;
  readonly isTls?: true;
  /** No answer comes before it is whole. */
  readonly isBuffering?: true;
  /** What is silent for 2 s is ended. */
  readonly isIdle?: true;
}

const CASES: readonly Case[] = [
  { proxy: 'nginx', name: 'as documented', edits: [], transport: 'websocket' },
  { proxy: 'nginx', name: 'that buffers', edits: [NGINX.buffered], transport: 'websocket' },
  { proxy: 'nginx', name: 'that passes no upgrade', edits: [NGINX.noUpgrade], transport: 'sse' },
  { proxy: 'nginx', name: 'that buffers and passes no upgrade', edits: [NGINX.buffered, NGINX.noUpgrade], transport: 'sse' },
  {
    proxy: 'nginx',
    name: 'that buffers, compresses and passes no upgrade',
    edits: [NGINX.buffered, NGINX.compressing, NGINX.noUpgrade],
    transport: 'poll',
    isBuffering: true,
  },
  { proxy: 'nginx', name: 'with a short idle timeout', edits: [NGINX.idle], transport: 'websocket', isIdle: true },
  { proxy: 'haproxy', name: 'as documented', edits: [], transport: 'websocket' },
  { proxy: 'haproxy', name: 'that passes no upgrade', edits: [HAPROXY.noUpgrade], transport: 'sse' },
  { proxy: 'haproxy', name: 'that refuses upgrades', edits: [HAPROXY.refused], transport: 'sse' },
  { proxy: 'haproxy', name: 'that compresses', edits: [HAPROXY.compressing], transport: 'websocket' },
  { proxy: 'haproxy', name: 'that compresses and passes no upgrade', edits: [HAPROXY.compressing, HAPROXY.noUpgrade], transport: 'sse' },
  { proxy: 'haproxy', name: 'with a short idle timeout', edits: [HAPROXY.idle], transport: 'websocket', isIdle: true },
  { proxy: 'envoy', name: 'as documented', edits: [], transport: 'websocket' },
  {
    proxy: 'envoy',
    name: 'with a short idle timeout',
    edits: [replacing(/stream_idle_timeout: 60s/g, `stream_idle_timeout: ${IDLE}`)],
    transport: 'websocket',
    isIdle: true,
  },
  { proxy: 'caddy', name: 'as documented', edits: [], transport: 'websocket' },
  { proxy: 'traefik', name: 'as documented', edits: [], transport: 'websocket' },
  {
    proxy: 'traefik',
    name: 'with a short read timeout',
    edits: [replacing(/readTimeout: 60s/g, `readTimeout: ${IDLE}`)],
    transport: 'websocket',
    isIdle: true,
  },
];
const TLS: readonly Case[] = [
  { proxy: 'nginx', name: 'with HTTP/2, else as documented', edits: [NGINX.http2], transport: 'websocket', isTls: true },
  { proxy: 'nginx', name: 'with HTTP/2, that passes no upgrade', edits: [NGINX.http2, NGINX.noUpgrade], transport: 'sse', isTls: true },
  {
    proxy: 'nginx',
    name: 'with HTTP/2, that passes no upgrade and does not say that it is a proxy',
    edits: [NGINX.http2, NGINX.noUpgrade, NGINX.unsaid],
    transport: 'sse',
    isTls: true,
  },
  {
    proxy: 'nginx',
    name: 'with HTTP/2, that buffers, compresses and passes no upgrade',
    edits: [NGINX.http2, NGINX.buffered, NGINX.compressing, NGINX.noUpgrade],
    transport: 'poll',
    isBuffering: true,
    isTls: true,
  },
  { proxy: 'haproxy', name: 'with HTTP/2, else as documented', edits: [HAPROXY.http2], transport: 'websocket', isTls: true },
  { proxy: 'haproxy', name: 'with HTTP/2, that refuses upgrades', edits: [HAPROXY.http2, HAPROXY.refused], transport: 'sse', isTls: true },
];

/** Those that run, by what they are. */
const running = new Map<Case, RunningProxy>();

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'busgate-transports-'));
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', certificate()];
  ca = await outputOf(await requireBinary('openssl'), ['req', '-x509', '-days', '2', ...names, ...key]);
  // Proxies read both from one file.
  await appendFile(certificate(), ca);
  packaged = await packagedProxies();
  redis = await startRedis();
  gateways = await Promise.all([1, 2, 3].map(() => startGateway({ args: [...GATEWAY, '--layer', redis.url] })));
  browser = await startBrowser();
  await Promise.all([...CASES, ...TLS].map(start));
});

afterAll(async () => {
  await browser?.close();
  for (const proxy of running.values()) await proxy[Symbol.asyncDispose]();
  for (const gateway of gateways ?? []) await gateway[Symbol.asyncDispose]();
  await redis?.[Symbol.asyncDispose]();
  await packaged?.[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true, force: true });
});

async function start(served: Case): Promise<void> {
  const edit = (text: string): string => served.edits.reduce((edited, apply) => apply(edited), text);
  running.set(served, await RunningProxy.start(served.proxy, gateways, edit, packaged));
  await until(
    'the proxy has a gateway',
    async () => {
      await using wire = await get(served, '/room/kept.first?poll=0');
      return wire.status;
    },
    (status) => status === 200,
  );
}

function originOf(served: Case): string {
  const { port } = running.get(served) as RunningProxy;
  return served.isTls === true ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
}

function get(served: Case, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Wire> {
  return Wire.get(originOf(served), path, headers, served.isTls === true ? ca : undefined);
}

/** A room of its own for each test. */
let rooms = 0;
const newRoom = (): string => `kept.${(rooms += 1)}`;

/** Publishes at a gateway, as others do. */
async function publish(room: string, text: string): Promise<void> {
  const { status } = await fetch((gateways[0] as GatewayProcess).http(`/room/${room}`), { method: 'POST', body: text });
  expect(status).toBe(202);
}

/** A socket that has been pinged as often as it takes for an idle timeout to be over twice. */
async function pinged(served: Case, room: string): Promise<Client> {
  const client = await Client.open(`${originOf(served).replace('http', 'ws')}/room/${room}`);
  const pings = new Collector<Buffer>();
  client.socket.on('ping', (data) => pings.push(data));
  await pings.take(SIGNS);
  return client;
}

/** What tells that a stream has begun, lives, and has a message. */
const SIGNS_OF = {
  sse: { type: 'text/event-stream', begun: /^id: .+\n\n/m, alive: '^:', message: (text: string) => new RegExp(`^data: ${text}$`, 'm') },
  stream: { type: 'application/x-ndjson', begun: /"type":"cursor".*\n/, alive: '"type":"ping"', message: (text: string) => new RegExp(`"text":"${text}"`) },
};

async function streams(served: Case, kind: keyof typeof SIGNS_OF): Promise<void> {
  const { type, begun, alive, message } = SIGNS_OF[kind];
  const room = newRoom();
  await using wire = await get(served, `/room/${room}`, { accept: type });
  expect([wire.status, wire.headers['content-type']]).toEqual([200, expect.stringContaining(type)]);
  await wire.find(begun);
  if (served.isIdle === true) await wire.find(new RegExp(`(?:${alive}[^]*?){${SIGNS}}`, 'm'));
  await publish(room, 'one');
  await wire.find(message('one'));
}

describe('a program has', () => {
  test.concurrent.for(CASES.filter(({ transport }) => transport === 'websocket'))('a WebSocket through $proxy $name', async (served) => {
    const room = newRoom();
    await using client = served.isIdle === true ? await pinged(served, room) : await Client.open(`${originOf(served).replace('http', 'ws')}/room/${room}`);
    await publish(room, 'one');
    await client.until((received) => received.length > 0);
    expect(client.received).toEqual(['one']);
  });

  test.concurrent.for([...CASES, ...TLS].filter(({ isBuffering }) => isBuffering !== true))('streams through $proxy $name', async (served) => {
    await expect(Promise.all([streams(served, 'sse'), streams(served, 'stream')])).resolves.toHaveLength(2);
  });

  // Each of them waits for the one before: what keeps a message for a moment (HAProxy without `http-no-delay`: 0.2 s) is a minute late.
  test.concurrent.for([...CASES, ...TLS].filter(({ name }) => name.endsWith('as documented')))(
    'messages of a stream at once through $proxy $name',
    { timeout: 45_000 },
    async (served) => {
      const room = newRoom();
      await using wire = await get(served, `/room/${room}`, { accept: 'text/event-stream' });
      await wire.find(SIGNS_OF.sse.begun);
      let all = '';
      for (let number = 0; number < 300; number += 1) {
        await publish(room, `number ${number}`);
        ({ input: all } = await wire.find(SIGNS_OF.sse.message(`number ${number}`)));
      }
      expect(all.match(/^data: number \d+$/gm)).toHaveLength(300);
    },
  );

  test.concurrent.for([...CASES, ...TLS])('polls through $proxy $name', async (served) => {
    const room = newRoom();
    await using first = await get(served, `/room/${room}?poll=0`);
    const [, cursor = ''] = await first.find(/"cursor":"([^"]+)"/);
    // One that waits for longer than the proxy does is ended by it.
    const wait = served.isIdle === true ? { poll: 1, texts: [] } : { poll: 30, texts: ['one'] };
    const waiting = get(served, `/room/${room}?poll=${wait.poll}&since=${encodeURIComponent(cursor)}`);
    if (served.isIdle !== true) await publish(room, 'one');
    await using second = await waiting;
    const [answer] = await second.find(/^.*\n$/);
    expect((JSON.parse(answer) as { messages: { text: string }[] }).messages.map(({ text }) => text)).toEqual(wait.texts);
  });
});

/** A client in a room, and what it is told. */
function enter(
  served: Case,
  transports: readonly TransportName[],
): { bus: Bus; room: Room; texts: Collector<string>; states: string[]; joined: Collector<true> } {
  // Each is on a page of its own, as far as it remembers.
  const url = `${originOf(served)}/socket?page=${(rooms += 1)}`;
  const bus = connect(url, { transports, ...(served.isIdle === true && { heartbeat: { every: 1000, timeout: 10_000 } }) });
  const room = bus.join(newRoom());
  const texts = new Collector<string>();
  const joined = new Collector<true>();
  const states: string[] = [];
  room.on('message', ({ text }) => texts.push(text));
  bus.on('state', (state) => states.push(state));
  room.on('state', (state) => state === 'joined' && joined.push(true));
  return { bus, room, texts, states, joined };
}

const ALL: readonly TransportName[] = ['websocket', 'sse', 'poll'];

describe('the client gets through by itself', () => {
  test.concurrent.for(CASES)('by $transport through $proxy $name', async (served) => {
    const { bus, room, texts, joined } = enter(served, ALL);
    await joined.next();
    // Any gateway takes what goes up, and what comes down comes once and in order.
    for (const data of ['one', 'two']) await room.publish(data, { idempotent: true });
    await publish(room.name, 'three');
    expect(await texts.take(3)).toEqual(['"one"', '"two"', 'three']);
    expect([bus.state, bus.transport]).toEqual(['open', served.transport]);
    bus.close();
  });

  test.concurrent.for(CASES.filter(({ isIdle }) => isIdle))('and stays, by each transport, through $proxy $name', async (served) => {
    const clients = ALL.map((transport) => enter(served, [transport]));
    await Promise.all(clients.map(({ joined }) => joined.next()));
    await using _silence = await pinged(served, newRoom());
    for (const { room } of clients) await publish(room.name, 'late');
    for (const { texts, states, bus } of clients) {
      expect([await texts.next(), states, bus.transport]).toEqual(['late', ['open'], bus.transport]);
      bus.close();
    }
  });
});

describe('a page', () => {
  test.concurrent.for(TLS)('gets through by $transport through $proxy $name', async (served) => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    // A page of the gateway without a script of its own.
    await page.goto(`${originOf(served)}/demo.css`);
    const room = newRoom();
    const open = `(async () => {
      const { connect } = await import('/client/index.js');
      const bus = connect('/socket');
      const room = bus.join('${room}');
      const texts = (window.texts = []);
      room.on('message', ({ text }) => texts.push(text));
      await new Promise((resolve) => room.on('state', (state) => state === 'joined' && resolve()));
      for (const data of ['one', 'two']) await room.publish(data, { idempotent: true });
      return [bus.transport, performance.getEntriesByType('navigation')[0].nextHopProtocol];
    })()`;
    expect(await page.evaluate(open)).toEqual([served.transport, 'h2']);
    await publish(room, 'three');
    const texts = await until(
      'all',
      () => page.evaluate<string[]>('window.texts'),
      ({ length }) => length === 3,
    );
    expect(texts).toEqual(['"one"', '"two"', 'three']);
    await context.close();
  });

  test.concurrent.for(TLS)('finds out by a poll of no rooms that it would be let in: $proxy $name', async (served) => {
    await using wire = await get(served, '/socket?poll=0');
    await wire.find(/"error":"bad_room"/);
    expect(wire.status).toBe(400);
  });

  // Where nothing says that the request was handed on, the answer has a header that HTTP/2 forbids: Chromium reads it, others do not.
  test.concurrent.for(TLS.filter(({ edits }) => !edits.includes(NGINX.unsaid)))('may read why there is no WebSocket: $proxy $name', async (served) => {
    await using wire = await get(served, '/socket');
    await wire.find(/"error":"no_transport"/);
    expect([wire.status, wire.headers['upgrade']]).toEqual([426, undefined]);
  });
});
