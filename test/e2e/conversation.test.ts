import assert from 'node:assert/strict';
import { test } from 'vitest';
import { Client, type Frame, MultiplexClient } from './clients.ts';
import { type Fleet, LAYERS, MEMORY, startFleet } from './fleet.ts';

const SETTINGS = ['--history', JSON.stringify([{ rooms: 'kept.>', size: 3, age: '60s' }])];

test('the same conversation on every layer gets the same frames', async () => {
  const recorded = new Map<string, readonly unknown[]>();
  for (const layer of [MEMORY, ...LAYERS]) {
    await using fleet = await startFleet(layer, 1, SETTINGS);
    recorded.set(layer.name, await converse(fleet));
  }
  const [expected, ...others] = [...recorded];
  assert.ok(expected !== undefined && expected[1].length > 25);
  for (const [name, frames] of others) assert.deepEqual(frames, expected[1], `${name} differs from ${expected[0]}`);
});

/** Everything that three clients see, each in its own order, with what no layer can share (session ids, epochs, spreads) replaced by names. */
async function converse(fleet: Fleet): Promise<readonly unknown[]> {
  await using ann = await MultiplexClient.open(fleet.ws(0, '/socket'));
  await using ben = await MultiplexClient.open(fleet.ws(0, '/socket'));
  await using raw = await Client.open(fleet.ws(0, '/room/lobby'));

  await ann.request({ type: 'join', room: 'lobby' });
  await ben.request({ type: 'join', room: 'lobby' });
  await ann.request({ type: 'publish', room: 'lobby', data: { from: 'ann', n: [1, 2.5, null] } });
  await ben.request({ type: 'publish', room: 'lobby', text: 'plain text' });
  await ben.request({ type: 'publish', room: 'lobby', base64: Buffer.from([0, 255]).toString('base64') });
  raw.send('"quoted"');
  await Promise.all([ann, ben].map((client) => client.until(() => client.messages('lobby').length === 4)));

  await ann.request({ type: 'leave', room: 'lobby' });
  await ann.request({ type: 'leave', room: 'lobby' });
  await ann.request({ type: 'join', room: 'no such name!' });
  await ann.request({ type: 'join', room: 'kept.1', since: 'not a position' });
  await ann.request({ type: 'publish', room: 'lobby' });
  await ann.request({ type: 'dance' });
  ann.send('{');
  ann.send('{"type":"ping"}');
  await ann.until(() => ann.frames.some((frame) => frame.type === 'pong'));

  await history(ann, ben);
  await raw.until((received) => received.length === 4);
  const names = new Map<string, string>();
  return [...raw.received.map(String), ...[ann, ben].flatMap((client) => inPromisedOrder(client.frames).map((frame) => normalize(frame, names)))];
}

/** Answers keep their order and so do a client's events; whether a publisher hears its own message or the answer first nobody promises. */
function inPromisedOrder(frames: readonly Frame[]): Frame[] {
  const isEvent = (frame: Frame): boolean => frame.type === 'message' || frame.type === 'gap';
  return [...frames.filter((frame) => !isEvent(frame)), ...frames.filter(isEvent)];
}

/** A room with history: positions, what was missed, and a position that is too old. */
async function history(ann: MultiplexClient, ben: MultiplexClient): Promise<void> {
  await ben.request({ type: 'join', room: 'kept.1' });
  const positions: unknown[] = [];
  for (const text of ['one', 'two', 'three']) positions.push((await ben.request({ type: 'publish', room: 'kept.1', text }))['position']);
  await ben.until(() => ben.messages('kept.1').length === 3);
  await ann.request({ type: 'join', room: 'kept.1', since: positions[0] });
  await ann.until(() => ann.messages('kept.1').length === 2);
  await ann.request({ type: 'leave', room: 'kept.1' });
  for (const text of ['four', 'five', 'six']) await ben.request({ type: 'publish', room: 'kept.1', text });
  await ann.request({ type: 'join', room: 'kept.1', since: positions[0] });
  await ben.request({ type: 'publish', room: 'kept.1', text: 'seven' });
  await Promise.all([ann.until(() => ann.messages('kept.1').at(-1) === 'seven'), ben.until(() => ben.messages('kept.1').length === 7)]);
}

function normalize(frame: Frame, names: Map<string, string>): Frame {
  const copy: Frame = { ...frame };
  if ('session' in copy) copy['session'] = 'session';
  if (copy.type === 'gap') copy['after'] = typeof copy['after'];
  if (typeof copy['position'] === 'string') {
    const known = names.get(copy['position']) ?? `position ${names.size + 1}`;
    names.set(copy['position'], known);
    copy['position'] = known;
  }
  return copy;
}
