import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { describe, test } from 'vitest';
import { Client, MultiplexClient, type Received } from './clients.ts';
import { LAYERS, startFleet } from './fleet.ts';

const GATEWAYS = 2;

describe.each(LAYERS)('rooms of a fleet on $name', (layer) => {
  test('200 clients on two gateways have each of 10,000 messages once, and in the same order', async () => {
    await using fleet = await startFleet(layer, GATEWAYS);
    const clients = await Promise.all(Array.from({ length: 200 }, (_, index) => Client.open(fleet.ws(index % GATEWAYS, '/room/1'))));
    const publishers = clients.slice(0, 10);
    for (let round = 0; round < 500; round += 1) {
      for (const [index, client] of publishers.entries()) client.send(`client ${index} ${round}`);
    }
    await fleet.broker.publishLines(
      '1',
      Array.from({ length: 5000 }, (_, index) => `broker - ${index}`),
    );
    await Promise.all(clients.map((client) => client.until((received) => received.length >= 10_000)));
    await marker(fleet.broker, clients);

    const first = clients[0]?.received.map(String) ?? [];
    assert.equal(first.length, 10_001);
    assert.equal(new Set(first).size, 10_001, 'a message came twice');
    for (const client of clients) {
      const received = client.received.map(String);
      if (layer.roomOrder === 'total') assert.deepEqual(received, first);
      else assert.deepEqual(perPublisher(received), perPublisher(first));
    }
    for (const [publisher, rounds] of perPublisher(first)) {
      assert.deepEqual(
        rounds,
        rounds.toSorted((a, b) => a - b),
        `the order of ${publisher}`,
      );
    }
  });

  test('a session in ten rooms has what is published to these, and nothing else', async () => {
    await using fleet = await startFleet(layer, GATEWAYS);
    const clients = await Promise.all(Array.from({ length: 20 }, (_, index) => MultiplexClient.open(fleet.ws(index % GATEWAYS, '/socket'))));
    const roomsOf = (index: number): string[] => Array.from({ length: 10 }, (_, room) => `r${(index + room) % 30}`);
    for (const [index, client] of clients.entries()) {
      for (const room of roomsOf(index)) assert.equal((await client.request({ type: 'join', room })).type, 'joined');
    }
    const all = Array.from({ length: 30 }, (_, room) => `r${room}`);
    for (const room of all)
      await fleet.broker.publishLines(
        room,
        Array.from({ length: 50 }, (_, index) => JSON.stringify({ room, index })),
      );
    await Promise.all(clients.map((client) => client.until(() => client.frames.filter((frame) => frame.type === 'message').length >= 500)));
    for (const [index, client] of clients.entries()) {
      const mine = new Set(roomsOf(index));
      for (const room of all) {
        const expected = mine.has(room) ? Array.from({ length: 50 }, (_, n) => ({ room, index: n })) : [];
        assert.deepEqual(client.messages(room), expected);
      }
    }
  });

  test('a join and a leave in the middle of a burst see exactly what is theirs', async () => {
    await using fleet = await startFleet(layer, GATEWAYS);
    const witness = await Client.open(fleet.ws(1, '/room/burst'));
    const client = await MultiplexClient.open(fleet.ws(0, '/socket'));
    let isOver = false;
    let published = 0;
    const burst = (async () => {
      for (; !isOver; published += 1000) {
        await witness.until((received) => received.length >= published - 1000);
        await fleet.broker.publishLines(
          'burst',
          Array.from({ length: 1000 }, (_, index) => String(published + index)),
        );
      }
    })();
    for (let turn = 0; turn < 20; turn += 1) {
      assert.equal((await client.request({ type: 'join', room: 'burst' })).type, 'joined');
      await Promise.race([burst, client.until(() => client.frames.at(-1)?.type === 'message')]);
      assert.equal((await client.request({ type: 'leave', room: 'burst' })).type, 'left');
    }
    isOver = true;
    await burst;
    await witness.until((received) => received.length === published);
    const visits = visitsOf(client);
    assert.equal(visits.length, 20);
    for (const visit of visits) {
      assert.ok(visit.length > 0, 'a visit saw no message');
      for (const [index, value] of visit.entries()) assert.equal(value, (visit[0] ?? 0) + index, 'a hole within one visit');
    }
  });

  test('payloads arrive byte for byte', async () => {
    await using fleet = await startFleet(layer, GATEWAYS);
    const receiver = await Client.open(fleet.ws(1, '/room/bytes'));
    const sender = await Client.open(fleet.ws(0, '/room/bytes'));
    const texts = ['', 'a', 'x'.repeat(65_536), '😀 emoji', 'line\u2028separator', 'nul \0 inside', '\r\n'];
    const binaries = [Buffer.from([0xff]), Buffer.from([0xc3, 0x28]), Buffer.concat([randomBytes(65_535), Buffer.from([0xff])])];
    const payloads = [...texts, ...binaries];
    for (const payload of payloads) sender.send(payload);
    await receiver.until((received) => received.length === payloads.length);
    const surrogate = Buffer.from([0xed, 0xa0, 0x80]);
    await fleet.broker.publish('bytes', surrogate);
    await receiver.until((received) => received.length === payloads.length + 1);
    for (const [index, payload] of [...payloads, surrogate].entries()) {
      assert.ok(isDeepStrictEqual(receiver.received[index], payload), `payload ${index}: ${JSON.stringify(payload).slice(0, 60)}`);
    }
  });

  test('a lone surrogate reaches nobody: it becomes U+FFFD before the broker has it', async () => {
    await using fleet = await startFleet(layer, GATEWAYS);
    const receiver = await Client.open(fleet.ws(1, '/room/s'));
    const client = await MultiplexClient.open(fleet.ws(0, '/socket'));
    client.send(String.raw`{"type":"publish","room":"s","text":"a\ud800b"}`);
    client.send(String.raw`{"type":"publish","room":"s","data":["\udc00"]}`);
    await receiver.until((received) => received.length === 2);
    assert.deepEqual([receiver.received[0], JSON.parse(String(receiver.received[1]))], ['a\ufffdb', ['\ufffd']]);
  });

  test('the same path answers HTTP and WebSocket', async () => {
    await using fleet = await startFleet(layer, GATEWAYS);
    const client = await Client.open(fleet.ws(1, '/room/both'));
    const answer = await fetch(fleet.http(0, '/room/both'), { method: 'POST', body: 'over HTTP' });
    assert.deepEqual([answer.status, await answer.json()], [202, { room: 'both' }]);
    await client.until((received) => received.length === 1);
    assert.deepEqual(client.received, ['over HTTP']);
  });
});

/** Absence is shown by a later message: when everybody has it, nothing else is under way. */
async function marker(broker: { publish(room: string, payload: string): Promise<void> }, clients: readonly Client[]): Promise<void> {
  await broker.publish('1', 'marker - 0');
  await Promise.all(clients.map((client) => client.until((received: readonly Received[]) => received.at(-1) === 'marker - 0')));
}

function perPublisher(received: readonly string[]): Map<string, number[]> {
  const rounds = new Map<string, number[]>();
  for (const message of received) {
    const [kind, index, round] = message.split(' ');
    const publisher = `${kind} ${index}`;
    const known = rounds.get(publisher);
    if (known === undefined) rounds.set(publisher, [Number(round)]);
    else known.push(Number(round));
  }
  return rounds;
}

/** The messages between each `joined` and its `left`; one outside of these fails. */
function visitsOf(client: MultiplexClient): number[][] {
  const visits: number[][] = [];
  let inside = false;
  for (const frame of client.frames) {
    if (frame.type === 'joined') visits.push([]);
    if (frame.type === 'joined' || frame.type === 'left') inside = frame.type === 'joined';
    if (frame.type !== 'message') continue;
    assert.ok(inside, 'a message outside of a visit');
    visits.at(-1)?.push(Number(frame['data']));
  }
  return visits;
}
