import { Buffer } from 'node:buffer';
import { openLayer, type LayerError } from '@busgate/layer';
import { connect, nanos } from 'nats';
import { describe, expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';
import { Child } from '../../../test/support/child.ts';
import { listen, state } from './support/rooms.ts';

const HISTORY = { history: [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }] } as const;

describe('a history on JetStream', () => {
  test('what a plain client publishes has positions and is replayed, without its doing anything', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, HISTORY);
    const other = await connect({ servers: nats.url });
    const events = await listen(layer, 'kept.1');
    const { position } = await layer.publish('kept.1', 'start');
    for (const text of ['a', 'b']) other.publish('busgate.room.kept.1', text);
    expect(await events.take(3)).toEqual(['start', 'a', 'b']);
    const replayed: unknown[] = [];
    const { recovered } = await layer.subscribe(
      'kept.1',
      (event) => replayed.push([Buffer.from(event.payload ?? []).toString(), event.position !== undefined]),
      {
        since: position as string,
      },
    );
    expect(recovered).toBe(true);
    expect(replayed).toEqual([
      ['a', true],
      ['b', true],
    ]);
    await other.close();
  });

  test('the stream is there before anybody listens, and rooms of no rule are not stored', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, HISTORY);
    const other = await connect({ servers: nats.url });
    const manager = await other.jetstreamManager();
    await expect.poll(async () => (await manager.streams.names().next()).some((name) => name.startsWith('BUSGATE_ROOM_'))).toBe(true);
    other.publish('busgate.room.kept.early', 'early');
    other.publish('busgate.room.other', 'not kept');
    await other.flush();
    const events: unknown[] = [];
    await layer.publish('other', 'not kept');
    const { position } = await layer.subscribe('kept.early', () => undefined);
    await layer.subscribe('kept.early', (event) => events.push(Buffer.from(event.payload ?? []).toString()), { since: `${position?.split(':')[0]}:0` });
    expect(events).toEqual(['early']);
    const stored = (await manager.streams.list().next()).reduce((sum, { state: { messages } }) => sum + messages, 0);
    expect(stored).toBeLessThanOrEqual(3);
    await other.close();
  });

  test('a restart: what was published before this process was back is repaired, without a gap', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, HISTORY);
    const events = await listen(layer, 'kept.r');
    await layer.publish('kept.r', 'before');
    await nats.kill();
    await state(layer, 'away');
    await nats.start();
    const other = await connect({ servers: nats.url });
    for (const text of ['1', '2']) await other.jetstream().publish('busgate.room.kept.r', text);
    await state(layer, 'connected');
    await layer.publish('kept.r', 'after');
    expect(await events.take(4)).toEqual(['before', '1', '2', 'after']);
    expect(layer.stats.gaps).toBe(0);
    await other.close();
  });

  test('a broker that comes back empty begins a new epoch: one gap, and no position of the old one is taken', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, HISTORY);
    const events = await listen(layer, 'kept.e');
    const { position } = await layer.publish('kept.e', 'before');
    await nats.kill();
    await state(layer, 'away');
    await nats.start({ empty: true });
    await state(layer, 'connected');
    const after = await layer.publish('kept.e', 'after');
    expect(await events.take(3)).toEqual(['before', 'GAP', 'after']);
    expect(after.position?.split(':')[0]).not.toBe(position?.split(':')[0]);
    expect((await layer.subscribe('kept.e', () => undefined, { since: position as string })).recovered).toBe(false);
  });

  test('a stream deleted under us is noticed and made anew: a gap, then a new epoch', async () => {
    await using nats = await startNats();
    await using here = await openLayer(nats.url, HISTORY);
    await using there = await openLayer(nats.url, HISTORY);
    const rooms = [await listen(here, 'kept.d'), await listen(there, 'kept.d')];
    const { position } = await here.publish('kept.d', 'before');
    const other = await connect({ servers: nats.url });
    const manager = await other.jetstreamManager();
    const name = await manager.streams.find('busgate.room.kept.d');
    await manager.streams.delete(name);
    for (const events of rooms) await events.until((all) => all.includes('GAP'));
    other.publish('busgate.room.kept.d', 'plain');
    await other.flush();
    const after = await there.publish('kept.d', 'after');
    for (const events of rooms) {
      await events.find((event) => event === 'after');
      expect(events.all).toEqual(['before', 'GAP', 'plain', 'after']);
    }
    expect(after.position?.split(':')[0]).not.toBe(position?.split(':')[0]);
    await other.close();
  });

  test('a stream deleted under us: one gap in each process, then the very first message of the new epoch', async () => {
    await using nats = await startNats();
    await using here = await openLayer(nats.url, HISTORY);
    await using there = await openLayer(nats.url, HISTORY);
    const rooms = [await listen(here, 'kept.f'), await listen(there, 'kept.f')];
    const other = await connect({ servers: nats.url });
    const manager = await other.jetstreamManager();
    const expected: string[] = [];
    for (let round = 1; round <= 5; round += 1) {
      await here.publish('kept.f', `before ${round}`);
      for (const events of rooms) await events.find((event) => event === `before ${round}`);
      await manager.streams.delete(await manager.streams.find('busgate.room.kept.f'));
      const texts = ['first', 'second', 'third'].map((text) => `${text} ${round}`);
      await there.publish('kept.f', texts[0] as string);
      for (const text of texts.slice(1)) await other.jetstream().publish('busgate.room.kept.f', text);
      expected.push(`before ${round}`, 'GAP', ...texts);
      for (const events of rooms) {
        await events.find((event) => event === texts[2]);
        expect(events.all).toEqual(expected);
      }
    }
    await other.close();
  });

  test('a position in a quiet room is good however long ago its message expired', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, HISTORY);
    const { position } = await layer.publish('kept.quiet', 'last');
    const other = await connect({ servers: nats.url });
    const manager = await other.jetstreamManager();
    const name = await manager.streams.find('busgate.room.kept.quiet');
    await layer.publish('kept.busy', 'x');
    // So the stream is when its messages have become too old, which takes minutes.
    await manager.streams.purge(name);
    await layer.publish('kept.busy', 'y');
    expect((await layer.subscribe('kept.quiet', () => undefined, { since: position as string })).recovered).toBe(true);
    await layer.publish('kept.quiet', 'next');
    const events: unknown[] = [];
    await layer.subscribe('kept.quiet', (event) => events.push(event.gap ?? Buffer.from(event.payload).toString()), { since: position as string });
    expect(events).toEqual(['next']);
    await other.close();
  });

  test('a change of the rule changes the stream, and keeps what it has', async () => {
    await using nats = await startNats();
    await using before = await openLayer(nats.url, HISTORY);
    const { position } = await before.publish('kept.c', '1');
    await before.publish('kept.c', '2');
    await using after = await openLayer(nats.url, { history: [{ rooms: 'kept.>', size: 5, ageMs: 200_000 }] });
    expect((await after.subscribe('kept.c', () => undefined, { since: position as string })).recovered).toBe(true);
    const other = await connect({ servers: nats.url });
    const manager = await other.jetstreamManager();
    const { config } = await manager.streams.info(await manager.streams.find('busgate.room.kept.c'));
    expect([config.max_msgs_per_subject, config.max_age]).toEqual([6, nanos(400_000)]);
    await other.close();
  });

  test('a foreign stream on the same subjects is named in the error', async () => {
    await using nats = await startNats();
    const other = await connect({ servers: nats.url });
    await (await other.jetstreamManager()).streams.add({ name: 'FOREIGN', subjects: ['busgate.room.>'] });
    await using layer = await openLayer(nats.url, HISTORY);
    await expect(layer.publish('kept.1', 'x')).rejects.toMatchObject({ code: 'LAYER_AWAY', message: expect.stringMatching(/FOREIGN/) as string });
    await other.close();
  });

  test('rules of which neither covers the other are refused with both names', async () => {
    const rules = ['a.*', '*.b'].map((rooms) => ({ rooms, size: 10, ageMs: 1000 }));
    await expect(openLayer('nats://127.0.0.1:1', { history: rules })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(/a\.\* and \*\.b/) as string,
    });
  });
});

const READER = `
import { openLayer } from '@busgate/layer';
const layer = await openLayer(process.argv[1]);
console.log(layer.newChannel());
console.log(JSON.stringify(await layer.receive('work')));
void layer.receive('work');
setInterval(() => undefined, 1000);
`;

describe('worker queues on JetStream', () => {
  test('what a reader took is not given again when it dies, and what it had not taken is', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url);
    await using reader = new Child(process.execPath, ['--conditions=@busgate/source', '--input-type=module', '-e', READER, nats.url]);
    await layer.send('work', { n: 1 });
    const channel = await reader.output.next();
    expect(await reader.output.next()).toBe('{"n":1}');
    await reader.kill();
    // What the server hands out before it has seen the connection end goes with the reader.
    await expect.poll(() => layer.send(channel, { alive: true }).catch((error: LayerError) => error.code)).toBe('CHANNEL_GONE');
    await layer.send('work', { n: 2 });
    await layer.send('work', { n: 3 });
    expect(await layer.receive('work')).toEqual({ n: 2 });
    expect(await layer.receive('work')).toEqual({ n: 3 });
  });

  test('a receive goes on over a restart, and the server gives nothing twice', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url);
    for (let n = 0; n < 20; n += 1) await layer.send('work', { n });
    for (let n = 0; n < 10; n += 1) expect(await layer.receive('work')).toEqual({ n });
    const waiting = layer.receive('other');
    await nats.kill();
    await state(layer, 'away');
    await nats.start();
    await state(layer, 'connected');
    for (let n = 10; n < 20; n += 1) expect(await layer.receive('work')).toEqual({ n });
    await layer.send('other', { found: true });
    expect(await waiting).toEqual({ found: true });
  });

  test('the stream deleted under us: the next send makes it anew, and who waits goes on waiting', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url);
    const waiting = layer.receive('work');
    await layer.send('warm', { up: true });
    const other = await connect({ servers: nats.url });
    const manager = await other.jetstreamManager();
    await expect.poll(async () => (await manager.consumers.list('BUSGATE_QUEUE').next()).length).toBe(1);
    await manager.streams.delete('BUSGATE_QUEUE');
    await layer.send('work', { n: 1 });
    expect(await waiting).toEqual({ n: 1 });
    // Nobody sends: who waits makes it anew, so that a plain publish arrives too.
    const again = layer.receive('work');
    await manager.streams.delete('BUSGATE_QUEUE');
    await expect.poll(async () => manager.consumers.list('BUSGATE_QUEUE').next().then((list) => list.length, () => 0)).toBe(1); // prettier-ignore
    await other.jetstream().publish('busgate.queue.work', '{"n":2}');
    expect(await again).toEqual({ n: 2 });
    for (let n = 3; n < 6; n += 1) {
      await layer.send('work', { n });
      expect(await layer.receive('work')).toEqual({ n });
    }
    await other.close();
  });

  test('a consumer is named after its queue, ends when nobody reads, and reading a history leaves none', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, HISTORY);
    const long = `q.${'x'.repeat(198)}`;
    for (const queue of ['a.b', long]) {
      await layer.send(queue, { queue });
      expect(await layer.receive(queue)).toEqual({ queue });
    }
    const { position } = await layer.publish('kept.x', '1');
    await layer.publish('kept.x', '2');
    await layer.subscribe('kept.x', () => undefined, { since: position as string });
    const other = await connect({ servers: nats.url });
    const manager = await other.jetstreamManager();
    const consumers = await manager.consumers.list('BUSGATE_QUEUE').next();
    expect(consumers.map(({ name }) => name)).toContain(`q_${Buffer.from('a.b').toString('base64url')}`);
    expect(consumers.map(({ config }) => config.inactive_threshold)).toEqual([nanos(300_000), nanos(300_000)]);
    const stream = await manager.streams.find('busgate.room.kept.x');
    await expect.poll(async () => (await manager.consumers.list(stream).next()).length).toBe(0);
    await other.close();
  });

  test('what a plain client publishes to the subject is received, and what is no JSON object is counted and skipped', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url);
    await layer.send('work', { first: true });
    const other = await connect({ servers: nats.url });
    for (const text of ['no json', '[]', '{"plain":1}']) await other.jetstream().publish('busgate.queue.work', text);
    expect(await layer.receive('work')).toEqual({ first: true });
    expect(await layer.receive('work')).toEqual({ plain: 1 });
    expect(layer.stats.undecodable).toBe(2);
    await other.close();
  });

  test('a sender of another expiry says it with the message', async () => {
    await using nats = await startNats();
    await using long = await openLayer(nats.url, { expiryMs: 60_000 });
    await long.send('work', { long: true });
    await using short = await openLayer(nats.url, { expiryMs: 50 });
    await short.send('brief', { n: 1 });
    await short.send('work', { short: true });
    await long.send('end', { end: true });
    const begun = performance.now();
    await expect.poll(() => performance.now() - begun, { interval: 10 }).toBeGreaterThan(60);
    await long.send('brief', { n: 2 });
    expect(await long.receive('brief')).toEqual({ n: 2 });
    expect(await short.receive('work')).toEqual({ long: true });
  });
});
