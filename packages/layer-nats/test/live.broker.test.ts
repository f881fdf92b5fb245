import { createServer, type Socket } from 'node:net';
import { isLayerError, openLayer } from '@busgate/layer';
import fc from 'fast-check';
import { connect } from 'nats';
import { describe, expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';
import { Collector } from '../../../test/support/events.ts';
import { OwnTime } from '../../../test/support/own-time.ts';
import { freePort } from '../../../test/support/ports.ts';
import { listen, state } from './support/rooms.ts';

describe('rooms on a NATS of their own', () => {
  test('a plain publish of any client reaches the room, and a plain subscriber hears the room', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url);
    const other = await connect({ servers: nats.url });
    const heard = new Collector<string>();
    other.subscribe('busgate.room.>', { callback: (_, message) => heard.push(`${message.subject} ${message.string()}`) });
    const events = await listen(layer, 'chat.1');
    other.publish('busgate.room.chat.1', 'hello');
    expect(await events.next()).toBe('hello');
    await layer.publish('chat.1', 'from here');
    expect(await heard.take(2)).toEqual(['busgate.room.chat.1 hello', 'busgate.room.chat.1 from here']);
    await other.close();
  });

  test('a JetStream publish is told its sequence where the room keeps a history, and nothing where it is live only: it is heard there all the same', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, { history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
    const other = await connect({ servers: nats.url });
    const [kept, live] = [await listen(layer, 'kept'), await listen(layer, 'live')];
    expect((await other.jetstream().publish('busgate.room.kept', 'x')).seq).toBe(1);
    await expect(other.jetstream().publish('busgate.room.live', 'y', { timeout: 100 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect([await kept.next(), await live.next()]).toEqual(['x', 'y']);
    await other.close();
  });

  test('a restart: calls reject at once while it is away, then one gap a room, before anything else', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url);
    const rooms = await Promise.all(Array.from({ length: 1200 }, (_, index) => listen(layer, `r.${index}`)));
    await nats.kill();
    await state(layer, 'away');
    await expect(layer.publish('r.0', 'lost')).rejects.toMatchObject({ code: 'LAYER_AWAY' });
    await expect(layer.subscribe('new', () => undefined)).rejects.toMatchObject({ code: 'LAYER_AWAY' });
    await expect(layer.groupSend('group', {})).rejects.toMatchObject({ code: 'LAYER_AWAY' });
    await nats.start({ empty: true });
    await state(layer, 'connected');
    for (const index of rooms.keys()) await layer.publish(`r.${index}`, 'after');
    for (const events of rooms) expect(await events.take(2)).toEqual(['GAP', 'after']);
  });

  test('a server that stops answering is found within 5 s, what was sent has an unknown outcome, and on return there is one gap', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url);
    const events = await listen(layer, 'r');
    nats.pause();
    using time = new OwnTime();
    await expect(layer.publish('r', 'held up')).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(time.ms).toBeLessThan(5500);
    await state(layer, 'away');
    nats.resume();
    await state(layer, 'connected');
    await layer.publish('r', 'after');
    await events.find((event) => event === 'after');
    expect(events.all).toEqual(['GAP', 'after']);
  });

  test('messages that arrive while the subscriptions are made anew come after the gap', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url);
    const events = await listen(layer, 'r');
    for (let round = 0; round < 5; round += 1) {
      await nats.kill();
      await state(layer, 'away');
      await nats.start();
      const other = await connect({ servers: nats.url });
      const noise = setInterval(() => other.publish('busgate.room.r', 'noise'), 1);
      await state(layer, 'connected');
      await layer.publish('r', `end ${round}`);
      await events.find((event) => event === `end ${round}`);
      clearInterval(noise);
      await other.close();
    }
    expect(events.all.filter((event) => event === 'GAP')).toHaveLength(5);
    for (let round = 1; round < 5; round += 1) {
      const ended = events.all.indexOf(`end ${round - 1}`);
      expect(events.all.indexOf('GAP', ended)).toBeGreaterThan(ended);
    }
    expect(events.all[0]).toBe('GAP');
  });

  test('the layer opens while there is no server, and works when there is one', async () => {
    await using nats = await startNats();
    await nats.kill();
    await using layer = await openLayer(nats.url);
    expect(layer.status.state).toBe('away');
    await expect(layer.publish('r', 'x')).rejects.toMatchObject({ code: 'LAYER_AWAY' });
    await nats.start();
    await state(layer, 'connected');
    const events = await listen(layer, 'r');
    await layer.publish('r', 'x');
    expect(await events.next()).toBe('x');
  });

  test('a server that accepts and says nothing holds nothing up, and keeps no socket', async () => {
    const held = new Set<Socket>();
    const silent = createServer((socket) => {
      held.add(socket);
      socket.on('close', () => held.delete(socket)).on('error', () => undefined);
    });
    const port = await freePort();
    silent.listen(port, '127.0.0.1');
    await using nats = await startNats();
    const layers = await Promise.all(Array.from({ length: 4 }, () => openLayer(`nats://127.0.0.1:${port},127.0.0.1:${nats.port}`)));
    for (const layer of layers) expect(layer.status.state).toBe('connected');
    await expect.poll(() => held.size).toBe(0);
    await Promise.all(layers.map((layer) => layer.close()));
    silent.close();
  });

  test('a channel of a process that is gone is CHANNEL_GONE, from the first send on', async () => {
    await using nats = await startNats();
    await using here = await openLayer(nats.url);
    const there = await openLayer(nats.url);
    const channel = there.newChannel();
    await here.send(channel, { n: 1 });
    expect(await there.receive(channel)).toEqual({ n: 1 });
    await there.close();
    await expect(here.send(channel, { n: 2 })).rejects.toMatchObject({ code: 'CHANNEL_GONE' });
  });

  test('a payload beyond what the server takes is refused with both numbers, and the connection stays', async () => {
    await using nats = await startNats({ config: ['max_payload: 2048'] });
    await using layer = await openLayer(nats.url);
    await expect(layer.publish('r', 'x'.repeat(2049))).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      message: expect.stringMatching(/2048.*2049/) as string,
    });
    await layer.publish('r', 'x'.repeat(2048));
    expect(layer.stats.connects).toBe(1);
  });

  test('no hostile name reaches the server', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url);
    const other = await connect({ servers: nats.url });
    const heard = new Collector<string>();
    other.subscribe('>', { callback: (_, message) => heard.push(message.subject) });
    await other.flush();
    const hostile = [
      '*',
      '>',
      'a.*',
      'a.>',
      '$SYS',
      '$JS.API.INFO',
      ' ',
      'a b',
      'a\tb',
      'a\r\nPUB evil 4\r\npwn!\r\nPUB b',
      '%2e',
      '..',
      'a..b',
      '.a',
      'a.',
      '',
    ];
    const names = fc.oneof(
      fc.constantFrom(...hostile, 'x'.repeat(5000)),
      fc.stringMatching(/^[a.*>$ %\r\n\t]{0,20}$/),
      fc.string({ unit: 'binary', maxLength: 30 }),
    );
    let published = 0;
    await fc.assert(
      fc.asyncProperty(names, async (name) => {
        const calls = [
          () => layer.publish(name, 'x'),
          () => layer.subscribe(name, () => undefined),
          () => layer.groupSend(name, {}),
          () => layer.send(name, {}),
        ];
        const codes = await Promise.all(
          calls.map((call) =>
            call().then(
              () => 'ok',
              (error: unknown) => (isLayerError(error) ? error.code : String(error)),
            ),
          ),
        );
        const sound = name.length <= 200 && /^[A-Za-z0-9_:@-]+(\.[A-Za-z0-9_:@-]+)*$/.test(name);
        published += sound ? 3 : 0;
        expect(codes.filter((code) => code !== 'INVALID_NAME')).toHaveLength(sound ? 4 : 0);
      }),
      { numRuns: 300 },
    );
    await layer.publish('end', 'x');
    await heard.find((subject) => subject === 'busgate.room.end');
    expect(heard.all.filter((subject) => !/^(busgate\.[a-z]+\.[A-Za-z0-9_:@.-]+|_INBOX\.[0-9a-zA-Z.]+|\$JS\.[A-Za-z0-9_.-]+)$/.test(subject))).toEqual([]);
    expect(heard.all.length).toBeLessThan(published + 200);
    await other.close();
  });

  test('a hundred opens and closes leave no connection', async () => {
    await using nats = await startNats({ args: ['-m', '0'] });
    const other = await connect({ servers: nats.url });
    for (let round = 0; round < 100; round += 1) {
      const layer = await openLayer(nats.url);
      await layer.publish('r', 'x');
      await layer.close();
      await expect(layer.publish('r', 'x')).rejects.toMatchObject({ code: 'LAYER_CLOSED' });
    }
    await expect.poll(() => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length).toBeLessThan(5);
    await other.close();
  });
});
