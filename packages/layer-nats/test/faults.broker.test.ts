import { existsSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isLayerError, openLayer, type ChannelLayer } from '@busgate/layer';
import { connect } from 'nats';
import { describe, expect, test } from 'vitest';
import { startNats, type Broker } from '../../../test/support/brokers.ts';
import { Child } from '../../../test/support/child.ts';
import { expectFaults, faultsOf } from '../../../test/support/faults.ts';
import { keepingLog } from './support/log.ts';
import { listen, state } from './support/rooms.ts';

async function reload(nats: Broker, config: string): Promise<void> {
  await writeFile(join(nats.folder, 'config'), config);
  process.kill(nats.pid, 'SIGHUP');
}

const users = (permissions: string): string => `authorization { users: [{ user: u, password: p, permissions: ${permissions} }] }`;
const withUser = (url: string): string => url.replace('nats://', 'nats://u:p@');

describe('a server that says no', () => {
  test.each([
    ['no JetStream', { args: ['-js=false'] }],
    ['an account without JetStream', { config: ['accounts { A { users: [{ user: a, password: a }] } }', 'no_auth_user: a'] }],
  ])('%s: rooms and groups work; queues, leases and history are UNSUPPORTED, with what to enable', async (_, options) => {
    await using nats = await startNats(options);
    const history = [{ rooms: 'kept', size: 10, ageMs: 1000 }];
    await using layer = await openLayer(nats.url, { history });
    expect(layer.capabilities).toMatchObject({ history: false, queues: false, groups: true });
    const events = await listen(layer, 'r');
    await layer.publish('r', 'x');
    expect(await events.next()).toBe('x');
    const channel = layer.newChannel();
    await layer.groupAdd('group', channel);
    await layer.groupSend('group', { n: 1 });
    expect(await layer.receive(channel)).toEqual({ n: 1 });
    const calls = [
      () => layer.send('work', {}),
      () => layer.send('work', {}, { exempt: true }),
      () => layer.lease(),
      () => layer.receive('work'),
      () => layer.groupAdd('group', 'work'),
      () => layer.publish('kept', 'x'),
      () => layer.publish('kept', 'x', { id: 'key' }),
      () => layer.subscribe('kept', () => undefined),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'UNSUPPORTED', message: expect.stringMatching(/nats-server -js/) as string });
  });

  test('a subject that this user may not publish on, or subscribe: the call says so, and nothing else suffers', async () => {
    const allowed = '{ publish: { deny: ["busgate.room.mute.>"] }, subscribe: { deny: ["busgate.room.deaf.>"] } }';
    await using nats = await startNats({ config: [users(allowed)] });
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(withUser(nats.url), { logger });
    const events = await listen(layer, 'r');
    const calls = [layer.publish('mute.1', 'x'), layer.publish('r', 'beside'), layer.publish('mute.2', 'x')];
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected']);
    await expect(calls[0]).rejects.toMatchObject({ code: 'REFUSED', message: expect.stringMatching(/publish on busgate\.room\.mute\.1/) as string });
    await expect(layer.subscribe('deaf.1', () => undefined)).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringMatching(/subscribe to busgate\.room\.deaf\.1/) as string,
    });
    expect(await events.next()).toBe('beside');
    expect(layer.stats.connects).toBe(1);
    await lines.find((line) => line.includes('busgate.room.mute.1'));
    await expectFaults(layer, lines, { refused: 3 });
    expect(layer.status).toMatchObject({ state: 'connected', reason: expect.stringMatching(/^refused: .*subscribe to busgate\.room\.deaf\.1/) as string });
  });

  test('a subscription that is taken away while it stands: a gap, and another one when it is back (attack 104)', async () => {
    await using nats = await startNats({ config: [users('{ subscribe: ">" }')] });
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(withUser(nats.url), { logger });
    const events = await listen(layer, 'private');
    const stays = await listen(layer, 'r');
    await reload(nats, users('{ subscribe: { deny: ["busgate.room.private"] } }'));
    expect(await events.next()).toBe('GAP');
    await lines.find((line) => line.includes('not permitted any more'));
    await expectFaults(layer, lines, { refused: 1 });
    await reload(nats, users('{ subscribe: ">" }'));
    expect(await events.next()).toBe('GAP');
    await layer.publish('private', 'again');
    expect(await events.next()).toBe('again');
    await layer.publish('r', 'x');
    await stays.find((event) => event === 'x');
    expect(faultsOf(layer)).toEqual({ refused: 1 });
  });

  test('subscriptions that are not permitted any more on return: a gap each, one fault and one line, and another gap when they are back', async () => {
    await using nats = await startNats({ config: [users('{ subscribe: ">" }')] });
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(withUser(nats.url), { logger });
    const rooms = await Promise.all(Array.from({ length: 30 }, (_, index) => listen(layer, `private.${index}`)));
    const stays = await listen(layer, 'r');
    await nats.kill();
    await state(layer, 'away');
    await writeFile(join(nats.folder, 'config'), users('{ subscribe: { deny: ["busgate.room.private.>"] } }'));
    await nats.start();
    for (const events of rooms) expect(await events.next()).toBe('GAP');
    await layer.publish('r', 'x');
    expect(await stays.take(2)).toEqual(['GAP', 'x']);
    expect(faultsOf(layer).refused).toBe(1);
    expect(lines.all.filter((line) => line.includes('not permitted any more'))).toHaveLength(1);
    await reload(nats, users('{ subscribe: ">" }'));
    for (const events of rooms) expect(await events.next()).toBe('GAP');
    for (const index of rooms.keys()) await layer.publish(`private.${index}`, 'again');
    for (const events of rooms) expect(await events.next()).toBe('again');
  });

  test('wrong credentials are REFUSED at once; refused while it is away it keeps trying, and says so', async () => {
    await using nats = await startNats({ config: [users('{}')] });
    for (const url of [nats.url, nats.url.replace('nats://', 'nats://u:wrong@'), nats.url.replace('nats://', 'nats://token@')]) {
      await expect(openLayer(url)).rejects.toMatchObject({ code: 'REFUSED', fault: 'refused' });
    }
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(withUser(nats.url), { logger });
    await nats.stop();
    await writeFile(join(nats.folder, 'config'), 'authorization { user: x, password: y }');
    await nats.start();
    await expect.poll(() => layer.stats.faults.refused).toBe(1);
    await lines.find((line) => line.includes('"kind":"refused"'));
    expect(layer.status).toMatchObject({ state: 'away', reason: expect.stringMatching(/^refused: NATS refused the credentials/) as string });
    await nats.stop();
    await writeFile(join(nats.folder, 'config'), users('{}'));
    await nats.start();
    await state(layer, 'connected');
  });

  test('JetStream out of space: what could not be kept is refused in words, live rooms go on', async () => {
    await using nats = await startNats({ config: ['jetstream { max_file_store: 300K }'] });
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(nats.url, { logger, history: [{ rooms: 'kept', size: 100_000, ageMs: 60_000 }] });
    const events = await listen(layer, 'r');
    const fill = async (): Promise<void> => {
      for (let n = 0; n < 100; n += 1) await layer.publish('kept', 'x'.repeat(10_000));
    };
    await expect(fill()).rejects.toMatchObject({ code: 'LAYER_AWAY', message: expect.stringMatching(/JetStream could not keep the message/) as string });
    await layer.publish('r', 'live');
    expect(await events.next()).toBe('live');
    await expectFaults(layer, lines, { out_of_space: 1 });
    expect(layer.status.state).toBe('connected');
  });

  test('a queue that is full is no fault', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, { capacity: 1 });
    await layer.send('work', {});
    await expect(layer.send('work', {})).rejects.toMatchObject({ code: 'CHANNEL_FULL' });
    expect([faultsOf(layer), layer.status.reason]).toEqual([{}, undefined]);
  });
});

describe('a server that loses what it kept', () => {
  test('streams that were deleted under us are made anew: rooms with history get a gap, and each stream is a fault', async () => {
    await using nats = await startNats();
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(nats.url, { logger, history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
    const events = await listen(layer, 'kept');
    await layer.publish('kept', 'before');
    await using other = await openLayer(nats.url);
    await layer.send('elsewhere', { n: 1 });
    expect(await other.receive('elsewhere')).toEqual({ n: 1 });
    const received = other.receive('elsewhere');
    const manager = await connect({ servers: nats.url });
    const streams = await (await manager.jetstreamManager()).streams.names().next();
    for (const name of ['BUSGATE_QUEUE', streams.find((stream) => stream.startsWith('BUSGATE_ROOM'))])
      await (await manager.jetstreamManager()).streams.delete(name ?? '');
    await manager.close();
    await events.find((event) => event === 'GAP');
    await layer.send('elsewhere', { n: 2 });
    expect(await received).toEqual({ n: 2 });
    await expectFaults(layer, lines, { data_lost: 2 });
    expect(layer.status).toMatchObject({ state: 'connected', reason: expect.stringMatching(/^data_lost: the stream BUSGATE_/) as string });
    await layer.publish('kept', 'after');
    await events.find((event) => event === 'after');
  });

  test('the stream of the newest positions deleted under us is a fault, and is made anew', async () => {
    await using nats = await startNats();
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(nats.url, { logger, history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
    await layer.publish('kept', 'x');
    const other = await connect({ servers: nats.url });
    const manager = await other.jetstreamManager();
    await manager.streams.delete('BUSGATE_HEAD');
    await expectFaults(layer, lines, { data_lost: 1 });
    expect(layer.status.reason).toMatch(/^data_lost: the stream BUSGATE_HEAD was deleted/);
    await layer.publish('kept', 'y');
    await expect.poll(async () => (await manager.streams.info('BUSGATE_HEAD')).state.messages).toBe(1);
    await other.close();
  });

  test('killed and started again empty: gone, then unreachable, and back with nothing', async () => {
    await using nats = await startNats();
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(nats.url, { logger, history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
    const [events, kept] = [await listen(layer, 'r'), await listen(layer, 'kept')];
    await layer.publish('kept', 'before');
    await nats.kill();
    await expectFaults(layer, lines, { connection_lost: 1, unreachable: 1 });
    // A connection that was tried while the server was dying may have been reset; the next one is refused.
    await expect.poll(() => layer.status).toMatchObject({ state: 'away', reason: expect.stringMatching(/^unreachable: .*ECONNREFUSED/) as string });
    await nats.start({ empty: true });
    await state(layer, 'connected');
    await expectFaults(layer, lines, { connection_lost: 1, unreachable: 1, data_lost: 1 });
    for (const room of [events, kept]) await room.find((event) => event === 'GAP');
  });
});

/** Publishes 24 MB when the file `go` is there, and makes the file `flooded` once the server has all of it. */
const FLOOD = `
import { access, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'nats';
const [, server, folder] = process.argv;
const nats = await connect({ servers: server });
const payload = new Uint8Array(60000);
console.log('ready');
while (!(await access(folder + '/go').then(() => true, () => false))) await delay(5);
for (let n = 0; n < 400; n += 1) { nats.publish('busgate.room.r', payload); if (n % 20 === 0) await nats.flush(); }
await nats.flush();
await writeFile(folder + '/flooded', '');
await nats.close();
`;

/** Holds up this whole process until the file is there, and then for longer than the server's `write_deadline`. */
function standStillUntil(file: string): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (const until = performance.now() + 20_000; !existsSync(file) && performance.now() < until;) Atomics.wait(sleeper, 0, 0, 10);
  Atomics.wait(sleeper, 0, 0, 500);
}

describe('a server that is slow, or that finds us slow', () => {
  test('a reader that the server cuts off as too slow comes back by itself, and its rooms get a gap (attack 104)', async () => {
    await using nats = await startNats({ config: ['max_pending: 2000000', 'write_deadline: "300ms"'] });
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(nats.url, { logger });
    const events = await listen(layer, 'r');
    await using child = new Child(process.execPath, ['--input-type=module', '-e', FLOOD, nats.url, nats.folder], { cwd: import.meta.dirname });
    await child.output.find((line) => line === 'ready');
    writeFileSync(join(nats.folder, 'go'), '');
    standStillUntil(join(nats.folder, 'flooded'));
    await events.find((event) => event === 'GAP');
    await state(layer, 'connected');
    await layer.publish('r', 'after');
    await events.find((event) => event === 'after');
    expect(events.all.filter((event) => event === 'GAP')).toHaveLength(1);
    expect(lines.all.join('\n')).toMatch(/away/);
    await expectFaults(layer, lines, { cut_off: 1 });
    await child.exited;
  });

  test('what is sent to a server that takes nothing is bounded', async () => {
    await using nats = await startNats();
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(nats.url, { logger });
    nats.pause();
    const payload = new Uint8Array(1_000_000);
    const codes = await Promise.all(
      Array.from({ length: 100 }, () =>
        layer.publish('r', payload).then(
          () => 'ok',
          (error: { code: string }) => error.code,
        ),
      ),
    );
    const refused = codes.filter((code) => code === 'LAYER_AWAY').length;
    expect(refused).toBeGreaterThan(25);
    expect(codes.filter((code) => code === 'OUTCOME_UNKNOWN').length).toBeGreaterThan(50);
    await expect.poll(() => faultsOf(layer)).toMatchObject({ unresponsive: 1 });
    // A heartbeat of its own may have been refused as well.
    expect([refused, refused + 1, refused + 2]).toContain(faultsOf(layer).overloaded);
    expect(layer.status).toMatchObject({ state: 'away', reason: expect.stringMatching(/^unresponsive: /) as string });
    for (const kind of ['overloaded', 'unresponsive']) await lines.find((line) => line.includes(`"kind":"${kind}"`));
    nats.resume();
    await state(layer, 'connected');
  });

  test.each([
    ['what a queue is to keep', 1_000_000, 100, (layer: ChannelLayer, text: string) => layer.send('work', { text })],
    ['what a history is to keep', 1_000_000, 100, (layer: ChannelLayer, text: string) => layer.publish('kept', text)],
    ['calls, however small', 1, 70_000, (layer: ChannelLayer, text: string) => layer.publish('r', text)],
  ])('%s is bounded too', async (_, size, count, call) => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, { capacity: 1000, history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
    const text = 'x'.repeat(size);
    await call(layer, text);
    nats.pause();
    const outcomes = await Promise.allSettled(Array.from({ length: count }, () => call(layer, text)));
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected' && isLayerError(outcome.reason, 'LAYER_AWAY'));
    expect(refused.length).toBeGreaterThan(size === 1 ? 4000 : 25);
    expect(faultsOf(layer).overloaded).toBeGreaterThanOrEqual(refused.length);
    nats.resume();
    await state(layer, 'connected');
  });
});
