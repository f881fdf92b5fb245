import { afterAll, beforeAll, expect, test } from 'vitest';
import { upgrade } from '../../packages/gateway/test/support/raw.ts';
import { get, IdleSessions, waitingPoll } from '../support/idle-sessions.ts';
import { type Holdings, INSPECTED, Inspector } from '../support/inspector.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { until } from '../support/until.ts';

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

test.each([
  ['websocket', 'a raw WebSocket', async () => upgrade('/room/kept.1', { Host: 'localhost' })],
  ['websocket', 'a WebSocket of many rooms', async () => upgrade('/socket', { Host: 'localhost', 'Sec-WebSocket-Protocol': 'busgate.v1' })],
  ['sse', 'an event stream of a room', async () => get('/room/kept.1', 'text/event-stream')],
  ['sse', 'an event stream of many rooms', async () => get('/socket?rooms=kept.1&rooms=live.1', 'text/event-stream')],
  ['stream', 'a stream of lines', async () => get('/room/kept.1', 'application/x-ndjson')],
  ['poll', 'a poll of a room', () => waitingPoll(gateway, '/room/kept.1?')],
  ['poll', 'a poll of many rooms', () => waitingPoll(gateway, '/socket?rooms=kept.1&rooms=kept.2&')],
])('over %s %s that is idle has no timer, closure or buffer of its own', async (transport, _, asking) => {
  await using sessions = new IdleSessions(gateway, transport, await asking());
  await sessions.open(FIRST);
  const before = await inspector.census();
  await sessions.open(MORE);
  const each = (after: Holdings): readonly (readonly [string, number])[] =>
    (['timers', 'buffers', 'functions'] as const).map((name) => [name, (after[name] - before[name]) / MORE]);
  const isLittle = (found: readonly (readonly [string, number])[]): boolean => found.every(([name, count]) => count <= MOST[name as keyof typeof MOST]);
  // What was needed to begin it is gone a moment later.
  await expect(until('an idle session has nothing of its own', async () => each(await inspector.census()), isLittle, SETTLING_MS)).resolves.toHaveLength(3);
});
