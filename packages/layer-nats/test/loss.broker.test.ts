import { Buffer } from 'node:buffer';
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openLayer, type ChannelLayer } from '@busgate/layer';
import { connect, type NatsConnection, type StreamConfig, type StreamInfo } from 'nats';
import { describe, expect, test } from 'vitest';
import { startNats, type Broker } from '../../../test/support/brokers.ts';
import { keepingLog } from './support/log.ts';
import { listen, state } from './support/rooms.ts';

const HISTORY = { history: [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }] } as const;

/** Publishes `<name> 1` to `<name> <count>` in order; resolves with the last one's position. */
async function fill(layer: ChannelLayer, room: string, name: string, count: number): Promise<string> {
  let last = '';
  for (let n = 1; n <= count; n += 1) last = (await layer.publish(room, `${name} ${n}`)).position as string;
  return last;
}

/** What a client that comes back with a position is told: whether it had everything, and what it got. */
async function resume(layer: ChannelLayer, room: string, since: string): Promise<{ recovered: boolean | undefined; got: string[] }> {
  const got: string[] = [];
  const { recovered } = await layer.subscribe(room, (event) => got.push(event.gap === true ? 'GAP' : Buffer.from(event.payload).toString()), { since });
  return { recovered, got };
}

const data = (nats: Broker): string => join(nats.folder, 'data');
const backup = (nats: Broker): string => join(nats.folder, 'backup');

async function keepFiles(nats: Broker): Promise<void> {
  await nats.stop();
  await cp(data(nats), backup(nats), { recursive: true });
}

/** The files are again what they were at {@link keepFiles}. The server must not run. */
async function bringBackFiles(nats: Broker): Promise<void> {
  await rm(data(nats), { recursive: true });
  await cp(backup(nats), data(nats), { recursive: true });
}

/** Through JetStream, as a backend that knows nothing of Busgate would. */
async function plain(nats: NatsConnection, room: string, count: number): Promise<void> {
  for (let n = 1; n <= count; n += 1) await nats.jetstream().publish(`busgate.room.${room}`, `plain ${n}`);
}

const epoch = (position: string | undefined): string | undefined => position?.split(':')[0];

describe('a server that comes back with less than it had', () => {
  test('processes that were there: one gap, a new epoch, and no position of what was lost names another message', async () => {
    await using nats = await startNats();
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(nats.url, { ...HISTORY, logger });
    const early = await fill(layer, 'kept.1', 'before', 3);
    await keepFiles(nats);
    await nats.start();
    await state(layer, 'connected');
    const events = await listen(layer, 'kept.1');
    const lost = await fill(layer, 'kept.1', 'lost', 5);
    expect(epoch(lost)).toBe(epoch(early));
    await nats.kill();
    await bringBackFiles(nats);
    await nats.start();
    await state(layer, 'connected');
    await expect.poll(() => events.all).toContain('GAP');
    const after = await fill(layer, 'kept.1', 'after', 10);
    await events.find((event) => event === 'after 10');
    expect(events.all.slice(5)).toEqual(['GAP', ...Array.from({ length: 10 }, (_, index) => `after ${index + 1}`)]);
    expect(epoch(after)).not.toBe(epoch(early));
    for (const since of [early, lost]) expect(await resume(layer, 'kept.1', since)).toEqual({ recovered: false, got: ['GAP'] });
    expect((await resume(layer, 'kept.1', after)).recovered).toBe(true);
    await lines.find((line) => line.includes('messages that were in it are not there any more'));
  });

  test('also where others have published more than was lost before the processes were back', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, HISTORY);
    await fill(layer, 'kept.1', 'before', 3);
    await keepFiles(nats);
    await nats.start();
    await state(layer, 'connected');
    const events = await listen(layer, 'kept.1');
    const lost = await fill(layer, 'kept.1', 'lost', 5);
    await nats.kill();
    await bringBackFiles(nats);
    // The layer is kept out meanwhile.
    await writeFile(join(nats.folder, 'config'), 'authorization { user: x, password: y }');
    await nats.start();
    const other = await connect({ servers: nats.url, user: 'x', pass: 'y' });
    await plain(other, 'kept.1', 20);
    await other.close();
    await nats.stop();
    await writeFile(join(nats.folder, 'config'), '');
    await nats.start();
    await state(layer, 'connected');
    await expect.poll(() => events.all).toContain('GAP');
    await layer.publish('kept.1', 'after');
    await events.find((event) => event === 'after');
    expect(events.all.slice(5)).toEqual(['GAP', 'after']);
    expect(await resume(layer, 'kept.1', lost)).toEqual({ recovered: false, got: ['GAP'] });
  });

  test('nobody there who could know: a new epoch, whatever was lost', async () => {
    await using nats = await startNats();
    const positions: string[] = [];
    for (const round of [1, 2]) {
      await using layer = await openLayer(nats.url, HISTORY);
      positions.push(await fill(layer, 'kept.1', `round ${round}`, 3));
      await layer.close();
      if (round === 1) {
        await keepFiles(nats);
        await nats.start();
      }
    }
    await nats.kill();
    await bringBackFiles(nats);
    await nats.start();
    const other = await connect({ servers: nats.url });
    await plain(other, 'kept.1', 20);
    await other.close();
    const { lines, logger } = keepingLog();
    await using layer = await openLayer(nats.url, { ...HISTORY, logger });
    for (const since of positions) expect(await resume(layer, 'kept.1', since)).toEqual({ recovered: false, got: ['GAP'] });
    await lines.find((line) => line.includes('its server was started anew'));
    // The same files again: what this process has given out since is not what they hold.
    const later = await fill(layer, 'kept.1', 'later', 3);
    await nats.kill();
    await bringBackFiles(nats);
    await nats.start();
    await state(layer, 'connected');
    await fill(layer, 'kept.1', 'again', 30);
    expect(await resume(layer, 'kept.1', later)).toEqual({ recovered: false, got: ['GAP'] });
  });

  test('a process that knew less, and says so last, does not make it more than one loss', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, HISTORY);
    await fill(layer, 'kept.quiet', 'before', 1);
    await keepFiles(nats);
    await nats.start();
    await state(layer, 'connected');
    const events = await listen(layer, 'kept.1');
    await fill(layer, 'kept.1', 'lost', 5);
    await nats.kill();
    await bringBackFiles(nats);
    await nats.start();
    await events.find((event) => event === 'GAP');
    await state(layer, 'connected');
    const after = await fill(layer, 'kept.1', 'after', 1);
    await fill(layer, 'kept.1', 'purged', 1);
    await layer.purge('kept.1');
    await fill(layer, 'kept.1', 'kept', 2);
    const other = await connect({ servers: nats.url });
    const { streams } = await other.jetstreamManager();
    const [stream] = await streams.list('busgate.room.kept.>').next();
    const { config } = stream as StreamInfo;
    const { promise, resolve } = Promise.withResolvers<void>();
    other.subscribe('$JS.API.STREAM.UPDATE.*', { callback: (_, message) => message.json<StreamConfig>().description === config.description && resolve() });
    // What it found before it knew.
    await streams.update(config.name, { ...config, description: config.description?.replace(/, epoch [0-9a-f]+/, '') ?? '' });
    await promise;
    await other.close();
    const last = await fill(layer, 'kept.1', 'later', 1);
    await events.find((event) => event === 'later 1');
    expect(epoch(last)).toBe(epoch(after));
    expect(events.all.filter((event) => event === 'GAP')).toEqual(['GAP']);
    // Nor does it hide what was purged since.
    expect(await resume(layer, 'kept.1', after)).toEqual({ recovered: false, got: ['GAP'] });
  });

  test('a process that knew less than another does not hide what is lost', async () => {
    await using nats = await startNats();
    await using idle = await openLayer(nats.url, HISTORY);
    const early = await fill(idle, 'kept.1', 'before', 3);
    await keepFiles(nats);
    await nats.start();
    await state(idle, 'connected');
    await using layer = await openLayer(nats.url, HISTORY);
    const rooms = [await listen(idle, 'kept.1'), await listen(layer, 'kept.2')];
    const lost = await fill(layer, 'kept.2', 'lost', 5);
    await nats.kill();
    await bringBackFiles(nats);
    await nats.start();
    for (const events of rooms) await expect.poll(() => events.all).toContain('GAP');
    await fill(idle, 'kept.2', 'after', 10);
    for (const by of [idle, layer]) {
      await state(by, 'connected');
      for (const since of [early, lost]) expect((await resume(by, 'kept.2', since)).recovered).toBe(false);
    }
  });
});

describe('a server that comes back with all that it had', () => {
  test('killed: the processes that were there go on without a gap, and a position of before is good', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, HISTORY);
    await using other = await openLayer(nats.url, HISTORY);
    const events = await listen(layer, 'kept.1');
    const quiet = (await layer.publish('kept.quiet', 'x')).position as string;
    const early = await fill(layer, 'kept.1', 'before', 5);
    for (let round = 1; round <= 3; round += 1) {
      await nats.kill();
      await state(layer, 'away');
      await nats.start();
      await state(layer, 'connected');
      await layer.publish('kept.1', `round ${round}`);
      await events.find((event) => event === `round ${round}`);
    }
    expect(events.all).not.toContain('GAP');
    await state(other, 'connected');
    expect(await resume(other, 'kept.1', early)).toEqual({ recovered: true, got: ['round 1', 'round 2', 'round 3'] });
    expect(await resume(other, 'kept.quiet', quiet)).toEqual({ recovered: true, got: [] });
    // One that comes later believes them.
    await using late = await openLayer(nats.url, HISTORY);
    expect((await resume(late, 'kept.1', early)).recovered).toBe(true);
  });
});
