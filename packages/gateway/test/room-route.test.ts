import { LayerError } from '@busgate/layer';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { frame, RawClient, request } from './support/raw.ts';

const KIB = 1024;
let gateway: TestGateway;

async function restart(routes: object[]): Promise<void> {
  await gateway[Symbol.asyncDispose]();
  gateway = await TestGateway.start(['--routes', JSON.stringify(routes)]);
}

beforeEach(async () => {
  gateway = await TestGateway.start();
});

afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

describe('a raw room', () => {
  test('gives each message to everybody in it, the sender included, in one order', async () => {
    await using ann = await Client.open(gateway.ws('/room/1'));
    await using ben = await Client.open(gateway.ws('/room/1'));
    await using other = await Client.open(gateway.ws('/room/2'));
    for (let round = 0; round < 100; round += 1) (round % 2 === 0 ? ann : ben).send(String(round));
    await gateway.layer.publish('2', 'marker');
    await Promise.all([ann, ben].map((client) => client.until(() => client.received.length === 100)));
    await other.until(() => other.received.length === 1);
    expect(ann.received).toEqual(ben.received);
    expect(ann.received.filter((text) => Number(text) % 2 === 0)).toEqual(Array.from({ length: 50 }, (_, index) => String(index * 2)));
    expect(other.received).toEqual(['marker']);
    await until(() => gateway.balance().sent === 201, 'all are sent');
    expect(gateway.balance()).toEqual({ due: 201, sent: 201, dropped: 0, queued: 0 });
  });

  test('carries every payload byte for byte: UTF-8 as text, all else as binary', async () => {
    await using sender = await Client.open(gateway.ws('/room/bytes'));
    await using receiver = await Client.open(gateway.ws('/room/bytes'));
    const texts = ['', 'a', 'x'.repeat(64 * KIB), '😀', 'a\u2028b', '\0\r\n'];
    const bytes = [Buffer.from([0xff]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.alloc(64 * KIB, 0xfe)];
    for (const payload of [...texts, ...bytes]) sender.send(payload);
    sender.send(Buffer.from('text in a binary frame'));
    await receiver.until(() => receiver.received.length === texts.length + bytes.length + 1);
    expect(receiver.received).toEqual([...texts, ...bytes, 'text in a binary frame']);
  });

  test('is joined as soon as the socket is open, and left with it', async () => {
    const client = await Client.open(gateway.ws('/room/now'));
    await gateway.layer.publish('now', 'first');
    await client.until(() => client.received.length === 1);
    expect(gateway.gateway.state.rooms).toBe(1);
    await client[Symbol.asyncDispose]();
    await until(() => gateway.gateway.state.rooms === 0, 'the room is empty');
  });

  test('frames: text and binary say how every payload is framed', async () => {
    await restart([
      { path: '/t/:room', kind: 'room', join: 'anyone', publish: 'anyone', frames: 'text' },
      { path: '/b/:room', kind: 'room', join: 'anyone', publish: 'anyone', frames: 'binary' },
    ]);
    await using text = await Client.open(gateway.ws('/t/1'));
    await using binary = await Client.open(gateway.ws('/b/1'));
    await gateway.layer.publish('1', 'é');
    await gateway.layer.publish('1', Buffer.from([0x61, 0xff]));
    await Promise.all([text, binary].map((client) => client.until(() => client.received.length === 2)));
    expect(text.received).toEqual(['é', 'a\ufffd']);
    expect(binary.received).toEqual([Buffer.from('é'), Buffer.from([0x61, 0xff])]);
  });

  test('publish: nobody ends a client that sends with 4403, and join: nobody lets none in', async () => {
    await restart([
      { path: '/r/:room', kind: 'room', join: 'anyone', publish: 'nobody' },
      { path: '/w/:room', kind: 'room', join: 'nobody', publish: 'anyone' },
    ]);
    await using witness = await Client.open(gateway.ws('/r/1'));
    await using client = await Client.open(gateway.ws('/r/1'));
    client.send('x');
    expect(await client.closed()).toBe(4403);
    expect((await fetch(gateway.http('/r/1'), { method: 'POST', body: 'x' })).status).toBe(403);
    await expect(Client.open(gateway.ws('/w/1'))).rejects.toThrow('403');
    expect((await fetch(gateway.http('/w/1'), { method: 'POST', body: 'y' })).status).toBe(202);
    await witness.until(() => witness.received.length === 1);
    expect(witness.received).toEqual(['y']);
    expect(gateway.gateway.counters.publishFailures.not_allowed).toBe(2);
  });
});

describe('a message of a raw socket that the layer does not take', () => {
  test.each(['LAYER_AWAY', 'OUTCOME_UNKNOWN', 'UNSUPPORTED'] as const)('closes it with 1013: %s', async (code) => {
    await using client = await Client.open(gateway.ws('/room/r'));
    vi.spyOn(gateway.layer, 'publish').mockRejectedValueOnce(new LayerError(code, 'so it is'));
    client.send('lost');
    expect(await client.closed()).toBe(1013);
  });

  test('leaves it open where the route says on_publish_failure: stay', async () => {
    const path = { path: '/room/:room', kind: 'room', join: 'anyone', publish: 'anyone', on_publish_failure: 'stay' };
    await using staying = await TestGateway.start(['--routes', JSON.stringify([path])]);
    await using client = await Client.open(staying.ws('/room/r'));
    vi.spyOn(staying.layer, 'publish').mockRejectedValueOnce(new LayerError('OUTCOME_UNKNOWN', 'no answer'));
    client.send('lost');
    client.send('had');
    await client.until(() => client.received.length === 1);
    expect(client.received).toEqual(['had']);
    expect(staying.gateway.counters.publishFailures.unknown).toBe(1);
  });
});

describe('messages that wait for the layer', () => {
  test('are bounded for all sessions together: past the bound they are refused, and let go of once they were served, whoever is still there', async () => {
    await using small = await TestGateway.start(['--limits-inbound-total', '256KiB']);
    const answer = Promise.withResolvers<{ position?: string }>();
    vi.spyOn(small.layer, 'publish').mockImplementation(() => answer.promise);
    const clients = await Promise.all(Array.from({ length: 4 }, () => RawClient.upgraded(small.port, '/room/r')));
    const burst = Buffer.concat(Array.from({ length: 10 }, () => frame(1, 'x'.repeat(10 * KIB))));
    for (const client of clients) client.write(burst);
    const refused = await Promise.race(clients.map((client) => client.closeCode()));
    expect(refused).toBe(1013);
    expect(small.gateway.state.inboundBytes).toBeLessThanOrEqual(256 * KIB);
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    await until(() => small.gateway.sessions === 0, 'all are gone');
    expect(small.gateway.state.inboundBytes).toBeGreaterThan(100 * KIB);
    answer.resolve({});
    await until(() => small.gateway.state.inboundBytes === 0, 'all was served');
  });

  test('on /socket are told as full where there are too many', async () => {
    await using small = await TestGateway.start(['--limits-inbound-total', '128KiB']);
    const answer = Promise.withResolvers<{ position?: string }>();
    vi.spyOn(small.layer, 'publish').mockImplementation(() => answer.promise);
    await using client = await Client.multiplex(small.ws('/socket'));
    const large = { type: 'publish', room: 'r', text: 'x'.repeat(10 * KIB) };
    // One after the other, so that each comes in one piece.
    for (let ref = 1; ref <= 12; ref += 1) {
      client.send({ ...large, ref });
      await until(() => small.gateway.counters.received.websocket === ref, 'it is under way');
    }
    client.send({ ...large, ref: 13 });
    client.send({ type: 'publish', room: 'r', text: 'x', ref: 14 });
    await until(() => small.gateway.counters.received.websocket === 13, 'what fits is under way too');
    answer.resolve({});
    await client.until(() => client.frames.some(({ ref }) => ref === 14));
    expect(client.frames.slice(12).map(({ type, code }) => code ?? type)).toEqual(['published', 'full', 'published']);
    expect(small.gateway.state.inboundBytes).toBe(0);
  });
});

describe('POST to a room', () => {
  test('publishes the body as it is, whatever its type, and answers 202', async () => {
    await using client = await Client.open(gateway.ws('/room/post'));
    const bodies = ['hello', '', '{"a":1}', Buffer.from([0, 0xff]), Buffer.alloc(64 * KIB, 'x')];
    for (const [index, body] of bodies.entries()) {
      const answer = await fetch(gateway.http('/room/post'), {
        method: 'POST',
        body,
        headers: { 'Content-Type': ['text/x', 'application/x-www-form-urlencoded'][index % 2] ?? '' },
      });
      expect([answer.status, answer.headers.get('content-type'), await answer.json()]).toEqual([202, 'application/json', { room: 'post' }]);
    }
    await client.until(() => client.received.length === bodies.length);
    expect(client.received.map((payload) => Buffer.from(payload as string))).toEqual(bodies.map((body) => Buffer.from(body as string)));
  });

  test('what one connection pipelines is published in its order, whatever the sizes of the bodies', async () => {
    await using witness = await Client.open(gateway.ws('/room/lines'));
    await using client = await RawClient.connect(gateway.port);
    const bodies = Array.from({ length: 200 }, (_, index) => ['', `${index}`, `${index} ${'x'.repeat(50 * KIB)}`, '', `${index}`][index % 5] ?? '');
    const pipelined = bodies.map((body, index) =>
      index % 3 === 0
        ? `${request('POST /room/lines HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}${body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`}0\r\n\r\n`
        : `${request('POST /room/lines HTTP/1.1', 'Host: a', `Content-Length: ${body.length}`)}${body}`,
    );
    client.write(pipelined.join(''));
    await witness.until(() => witness.received.length === bodies.length);
    expect(witness.received).toEqual(bodies);
  });

  test('tells the position where the room has a history', async () => {
    await using kept = await TestGateway.start([], [{ rooms: 'kept', size: 10, ageMs: 60_000 }]);
    const answer = await fetch(kept.http('/room/kept'), { method: 'POST', body: 'x' });
    expect(await answer.json()).toEqual({ room: 'kept', position: expect.stringMatching(/^[^:]+:1$/) });
  });

  test.each([
    ['a body over 64 KiB', { body: Buffer.alloc(64 * KIB + 1) }, 413, 'body_too_large'],
    ['a foreign origin', { body: 'x', headers: { Origin: 'http://evil.test' } }, 403, 'origin'],
  ])('%s is refused', async (_, init, status, error) => {
    const answer = await fetch(gateway.http('/room/post'), { method: 'POST', ...init });
    expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([status, error]);
  });

  test('a body over the limit is refused without being read: chunked, or asked for before it is sent', async () => {
    await using chunked = await RawClient.connect(gateway.port);
    chunked.write(request('POST /room/1 HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'), `11000\r\n${'x'.repeat(0x11000)}`);
    expect((await chunked.answer()).status).toBe(413);
    await using asking = await RawClient.connect(gateway.port);
    asking.write(request('POST /room/1 HTTP/1.1', 'Host: a', 'Expect: 100-continue', 'Content-Length: 100000'));
    expect((await asking.answer()).status).toBe(413);
    await using small = await RawClient.connect(gateway.port);
    small.write(request('POST /room/1 HTTP/1.1', 'Host: a', 'Expect: 100-continue', 'Content-Length: 5'));
    expect((await small.answer()).status).toBe(100);
    small.write('hello');
    expect((await small.answer()).status).toBe(202);
  });

  test('a bad room is 400, a bad path 404', async () => {
    expect((await fetch(gateway.http('/room/a%20b'), { method: 'POST', body: 'x' })).status).toBe(400);
    expect((await fetch(gateway.http('/nothing'), { method: 'POST', body: 'x' })).status).toBe(404);
  });

  test('a client that goes in the middle of a body publishes nothing', async () => {
    await using witness = await Client.open(gateway.ws('/room/half'));
    const client = await RawClient.connect(gateway.port);
    client.write(request('POST /room/half HTTP/1.1', 'Host: a', 'Content-Length: 10'), 'half');
    await client[Symbol.asyncDispose]();
    await gateway.layer.publish('half', 'marker');
    await witness.until(() => witness.received.length === 1);
    expect(witness.received).toEqual(['marker']);
  });
});

describe('a layer that takes smaller messages than the route', () => {
  test('one that it refuses closes the socket with 1009', async () => {
    await using wide = await TestGateway.start(['--limits-message', '2MiB', '--limits-layer-message', '2MiB']);
    await using client = await Client.open(wide.ws('/room/1'));
    client.send('fits');
    await client.until(() => client.received.length === 1);
    client.send('x'.repeat(1024 * KIB + 1));
    expect(await client.closed()).toBe(1009);
    expect(wide.gateway.counters.publishFailures.refused).toBe(1);
  });
});

describe('a full gateway', () => {
  test('refuses the next upgrade with 503 and a time to come back, and still takes a POST', async () => {
    await using full = await TestGateway.start(['--limits-sessions', '2']);
    await using first = await Client.open(full.ws('/room/1'));
    await using second = await Client.open(full.ws('/socket'));
    await using third = await RawClient.connect(full.port);
    third.write((await import('./support/raw.ts')).upgrade('/room/1'));
    const answer = await third.answer();
    expect([answer.status, JSON.parse(answer.body).error]).toEqual([503, 'full']);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect((await fetch(full.http('/room/1'), { method: 'POST', body: 'x' })).status).toBe(202);
    await first[Symbol.asyncDispose]();
    await until(() => full.gateway.sessions === 1, 'a place is free');
    await using again = await Client.open(full.ws('/room/1'));
    expect([again.closeCode, second.closeCode]).toEqual([undefined, undefined]);
  });
});

describe('a slow reader', () => {
  test('is closed with 1013 and counted while the others keep going', async () => {
    await using small = await TestGateway.start(['--limits-outbox', '256KiB']);
    await using quick = await Client.open(small.ws('/room/busy'));
    await using slow = await RawClient.upgraded(small.port, '/room/busy');
    slow.socket.pause();
    const payload = 'x'.repeat(32 * KIB);
    let published = 0;
    while (small.gateway.counters.dropped.slow === 0) {
      await small.layer.publish('busy', payload);
      published += 1;
      if (published % 8 === 0) await quick.until(() => quick.received.length >= published - 4);
      if (published > 5000) throw new Error('never too slow');
    }
    slow.socket.resume();
    expect(await slow.closeCode()).toBe(1013);
    const had = slow.frames.filter(({ opcode }) => opcode === 1).length;
    expect(slow.frames.at(-1)?.opcode).toBe(8);
    slow.socket.end();
    await small.layer.publish('busy', 'marker');
    await quick.until(() => quick.received.at(-1) === 'marker');
    expect(quick.received.length).toBe(published + 1);
    await until(() => small.gateway.sessions === 1, 'the slow one is gone');
    const balance = small.balance();
    expect(balance).toEqual({
      due: balance.sent + balance.dropped,
      sent: quick.received.length + had,
      dropped: small.gateway.counters.dropped.slow,
      queued: 0,
    });
    expect(small.gateway.counters.closes.get('1013')).toBe(1);
  });

  test('holds at most its bound of memory, and the process its own', async () => {
    await using small = await TestGateway.start(['--limits-outbox', '1MiB', '--limits-outbox-total', '2MiB']);
    // Each in a room of its own, since what they share counts once.
    const slow = await Promise.all(Array.from({ length: 6 }, (_, index) => RawClient.upgraded(small.port, `/room/busy.${index}`)));
    for (const { socket } of slow) socket.pause();
    const payload = Buffer.alloc(60 * KIB);
    let most = 0;
    for (let round = 0; round < 300; round += 1) {
      await Promise.all(slow.map((_, index) => small.layer.publish(`busy.${index}`, payload)));
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, small.gateway.state.outboxBytes);
    }
    // Those that are being closed keep theirs until they are gone.
    expect(most).toBeLessThan(6 * (1024 + 64) * KIB);
    for (const client of slow) client.socket.destroy();
    await until(() => small.gateway.sessions === 0, 'all are gone');
    const { due, sent, dropped, queued } = small.balance();
    expect(small.gateway.counters.dropped.total).toBeGreaterThan(0);
    expect([due, queued, small.gateway.state.outboxBytes]).toEqual([sent + dropped, 0, 0]);
  });

  test('that only sends is not read once too much of it is under way', async () => {
    await using client = await RawClient.upgraded(gateway.port, '/room/flood');
    const burst = Buffer.concat(Array.from({ length: 20_000 }, () => frame(1, 'x')));
    client.write(burst);
    await client.until((frames) => frames.length === 20_000);
    expect(gateway.gateway.counters.published).toBe(20_000);
  });
});
