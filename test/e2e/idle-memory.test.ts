import { afterAll, beforeAll, expect, test } from 'vitest';
import { upgrade } from '../../packages/gateway/test/support/raw.ts';
import { get, IdleSessions, waitingPoll } from '../support/idle-sessions.ts';
import { INSPECTED, Inspector } from '../support/inspector.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { until } from '../support/until.ts';

/** Sessions before the first look, with which lists and caches grow, and after it. */
const FIRST = 1000;
const MORE = 2000;
/** A heap shrinks by less than this, in bytes, once what was needed to begin sessions is gone. */
const NOISE = 20_000;
/** What a session takes at least, in bytes. */
const NODES_OWN = 950;
/** Milliseconds. */
const SETTLING_MS = 60_000;

const ROUTES = "[{path: '/room/:room', kind: room, join: anyone, publish: anyone}, {path: /socket, kind: multiplex, join: anyone, publish: anyone}]";
const RAW = upgrade('/room/kept.1', { Host: 'localhost' });

let gateway: GatewayProcess;
let inspector: Inspector;

beforeAll(async () => {
  gateway = await startGateway({ args: ['--history', '[{rooms: "kept.>", size: 100, age: 1h}]', '--routes', ROUTES], env: { NODE_OPTIONS: INSPECTED } });
  inspector = await Inspector.of(gateway);
  // What is compiled, and kept of it, belongs to no session.
  await using sessions = new IdleSessions(gateway, 'websocket', RAW);
  await sessions.open(FIRST);
});

afterAll(async () => {
  await inspector?.[Symbol.asyncDispose]();
  await gateway?.[Symbol.asyncDispose]();
});

/** What the process holds once it shrinks no more. */
async function settled(): Promise<number> {
  let last = Infinity;
  const isSettled = (held: number): boolean => {
    const before = last;
    last = held;
    return held > before - NOISE;
  };
  return await until('what is held does not shrink any more', () => inspector.held(), isSettled);
}

/**
 * `most`: bytes of the heap, and of buffers outside of it, that one more session takes: some 5 % over what was measured on Node 24.21, so that a closure, a buffer or a timer of its own is too
 * much. A socket that Node alone has accepted takes 950 of them, and one that it has upgraded 1,130.
 */
test.each([
  ['websocket', 'a raw WebSocket', 1810, async () => RAW],
  ['websocket', 'a WebSocket of many rooms', 2270, async () => upgrade('/socket?rooms=kept.1', { Host: 'localhost', 'Sec-WebSocket-Protocol': 'busgate.v1' })],
  ['sse', 'an event stream', 1750, async () => get('/room/kept.1', 'text/event-stream')],
  ['poll', 'a poll', 1650, () => waitingPoll(gateway, '/room/kept.1?')],
])('over %s %s that is idle takes few bytes', async (transport, _, most, asking) => {
  await using sessions = new IdleSessions(gateway, transport, await asking());
  await sessions.open(FIRST);
  const before = await settled();
  await sessions.open(MORE);
  const each = async (): Promise<number> => ((await inspector.held()) - before) / MORE;
  const found = await until('a session takes no more', each, (bytes) => bytes <= most, SETTLING_MS);
  // Less than Node's own would say that something else went meanwhile.
  expect(found).toBeGreaterThan(NODES_OWN);
});
