import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { request, upgrade } from '../../packages/gateway/test/support/raw.ts';
import { type Holdings, INSPECTED, Inspector } from '../support/inspector.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { until } from './support/until.ts';

/** Sessions before the first look, with which lists and caches grow, and after it. */
const FIRST = 100;
const MORE = 400;
/** Milliseconds. */
const SETTLING_MS = 60_000;
/** What others come and go with meanwhile, for each session; a node of Node's own closes over each connection that its server takes. */
const MOST = { timers: 0.05, buffers: 0.05, functions: 1.05 } as const;

let gateway: GatewayProcess;
let inspector: Inspector;

beforeAll(async () => {
  gateway = await startGateway({ args: ['--demo', '--history', '[{rooms: "kept.>", size: 100, age: 5m}]'], env: { NODE_OPTIONS: INSPECTED } });
  inspector = await Inspector.of(gateway);
});

afterAll(async () => {
  await inspector?.[Symbol.asyncDispose]();
  await gateway?.[Symbol.asyncDispose]();
});

const get = (path: string, accept: string): string => request(`GET ${path} HTTP/1.1`, 'Host: localhost', `Accept: ${accept}`);

async function poll(path: string): Promise<string> {
  const { cursor } = (await (await fetch(gateway.http(`${path}poll=0`))).json()) as { cursor: string };
  return get(`${path}poll=60&since=${cursor}`, 'application/json');
}

async function open(text: string): Promise<Socket> {
  const socket = connect(gateway.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

test.each([
  ['websocket', 'a raw WebSocket', async () => upgrade('/room/kept.1', { Host: 'localhost' })],
  ['websocket', 'a WebSocket of many rooms', async () => upgrade('/socket', { Host: 'localhost', 'Sec-WebSocket-Protocol': 'busgate.v1' })],
  ['sse', 'an event stream of a room', async () => get('/room/kept.1', 'text/event-stream')],
  ['sse', 'an event stream of many rooms', async () => get('/socket?rooms=kept.1&rooms=live.1', 'text/event-stream')],
  ['stream', 'a stream of lines', async () => get('/room/kept.1', 'application/x-ndjson')],
  ['poll', 'a poll of a room', () => poll('/room/kept.1?')],
  ['poll', 'a poll of many rooms', () => poll('/socket?rooms=kept.1&rooms=kept.2&')],
])('over %s %s that is idle has no timer, closure or buffer of its own', async (transport, _, asking) => {
  const text = await asking();
  const sockets: Socket[] = [];
  const sessions = (count: number): Promise<unknown> =>
    until(
      `${count} sessions`,
      () => gateway.metric(`busgate_sessions{transport="${transport}"}`),
      (found) => found === count,
    );
  sockets.push(...(await Promise.all(Array.from({ length: FIRST }, () => open(text)))));
  await sessions(FIRST);
  const before = await inspector.census();
  sockets.push(...(await Promise.all(Array.from({ length: MORE }, () => open(text)))));
  await sessions(FIRST + MORE);
  const each = (after: Holdings): readonly (readonly [string, number])[] =>
    (['timers', 'buffers', 'functions'] as const).map((name) => [name, (after[name] - before[name]) / MORE]);
  const isLittle = (found: readonly (readonly [string, number])[]): boolean => found.every(([name, count]) => count <= MOST[name as keyof typeof MOST]);
  // What was needed to begin it is gone a moment later.
  await expect(until('an idle session has nothing of its own', async () => each(await inspector.census()), isLittle, SETTLING_MS)).resolves.toHaveLength(3);
  for (const socket of sockets) socket.destroy();
  await sessions(0);
});
