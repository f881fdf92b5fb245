import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { frame, RawClient, request, upgrade } from '../../../packages/gateway/test/support/raw.ts';
import { type Broker, startNats, startRedis } from '../../support/brokers.ts';
import { requireBinary } from '../../support/binaries.ts';
import { Child } from '../../support/child.ts';
import { type Frame, MultiplexClient } from '../../e2e/clients.ts';
import { metricsOf, sumOf } from '../../support/metrics.ts';
import { ANSWERS } from '../../attacks/answers.ts';
import { RawSession } from '../../attacks/raw-session.ts';
import { openRaw, Stage } from '../../attacks/stage.ts';

const KIB = 1024;
const HISTORY = '[{rooms: "kept.>", size: 10, age: 1m}]';
/** Errors of a session in a minute, the last of which ends it. */
const ERRORS = 20;

describe('on memory', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.start(['--history', HISTORY]);
  });

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
  });

  test.each(ANSWERS)('attack %i: %s is answered, and the session goes on', async (_attack, _name, sent, answer) => {
    await stage.withstands(async () => {
      await using session = await RawSession.open(stage.gateway.port);
      expect(await session.ask(sent)).toEqual(answer);
      const before = session.frames.length;
      session.client.write(frame(1, '{"type":"ping"}'));
      await session.client.until(() => session.frames.slice(before).some(({ type }) => type === 'pong'));
    });
  });

  test('attack 56: who makes nothing but errors is closed with 1008 at the last that a minute may have, and a binary frame with 1003', async () => {
    await stage.withstands(async () => {
      await using session = await RawSession.open(stage.gateway.port);
      for (let count = 0; count < ERRORS + 5; count += 1) session.client.write(frame(1, '{}'));
      expect(await session.client.closeCode()).toBe(1008);
      expect(session.frames.filter(({ type }) => type === 'error').length).toBe(ERRORS);
      await using binary = await RawSession.open(stage.gateway.port);
      binary.client.write(frame(2, '{"type":"ping"}'));
      expect(await binary.client.closeCode()).toBe(1003);
    });
  });

  test('attacks 58, 59, 62: what is published is carried as it was written, but for what other languages cannot read', async () => {
    await stage.withstands(async () => {
      await using reader = await RawSession.open(stage.gateway.port);
      await reader.ask('{"type":"join","room":"r"}');
      await using session = await RawSession.open(stage.gateway.port);
      const sent = ['{"n":1e400,"i":12345678901234567890,"z":-0}', '{"__proto__":{"admin":true}}', String.raw`"\ud800 \ud83d\ude00"`];
      for (const data of sent) await session.ask(`{"type":"publish","room":"r","data":${data},"ref":1}`);
      await reader.client.until(() => reader.frames.filter(({ type }) => type === 'message').length === sent.length);
      const carried = reader.client.frames.map(({ payload }) => payload.toString()).filter((text) => text.includes('"message"'));
      const expected = [...sent.slice(0, 2), String.raw`"\ufffd \ud83d\ude00"`];
      expect(carried).toEqual(expected.map((data) => `{"type":"message","room":"r","data":${data}}`));
    });
  });

  test('attack 73: what a client says of sender, time, position and session is nobody’s but its own', async () => {
    await stage.withstands(async () => {
      await using reader = await RawSession.open(stage.gateway.port);
      await reader.ask('{"type":"join","room":"kept.z"}');
      await using session = await RawSession.open(stage.gateway.port);
      const forged = '"position":"e:99","session":"s","user":"admin","sender":"admin","timestamp":0,"reply_channel":"p.x!1"';
      const { position } = await session.ask(`{"type":"publish","room":"kept.z","text":"hi",${forged}}`);
      await reader.client.until(() => reader.frames.at(-1)?.type === 'message');
      expect(position).not.toBe('e:99');
      expect(reader.frames.at(-1)).toEqual({ type: 'message', room: 'kept.z', text: 'hi', position });
    });
  });

  test('attack 74: a publish with the id of one before is that one', async () => {
    await stage.withstands(async () => {
      await using session = await RawSession.open(stage.gateway.port);
      const id = crypto.randomUUID();
      const publish = (ref: number): Promise<Frame> => session.ask(JSON.stringify({ type: 'publish', room: 'kept.once', text: 'x', id, ref }));
      const [first, second] = [await publish(1), await publish(2)];
      expect([first['type'], second['type']]).toEqual(['published', 'published']);
      expect(second['position']).toBe(first['position']);
    });
  });

  test('attack 71: a session is in so many rooms and no more, and none is left of a storm of joins and leaves', async () => {
    await stage.withstands(async () => {
      await using client = await MultiplexClient.open(stage.gateway.ws('/socket'));
      const names = Array.from({ length: 1001 }, (_, index) => `storm.${index}`);
      const joins = await Promise.all(names.map((room) => client.request({ type: 'join', room })));
      expect(joins.map(({ type }) => type)).toEqual([...names.slice(1).map(() => 'joined'), 'error']);
      expect(joins.at(-1)?.['code']).toBe('rate');
      await Promise.all(names.slice(0, 1000).map((room) => client.request({ type: 'leave', room })));
    });
    await expect.poll(async () => sumOf(await metricsOf(stage.gateway), 'busgate_rooms')).toBe(0);
  });

  test('attack 76: scripts are data, and no answer is taken for a page', async () => {
    await stage.withstands(async () => {
      const script = '<script>alert(1)</script>';
      await using reader = await RawSession.open(stage.gateway.port);
      await reader.ask('{"type":"join","room":"r"}');
      const posted = await fetch(stage.gateway.http('/room/r'), { method: 'POST', body: script, headers: { 'Content-Type': 'text/html' } });
      await posted.arrayBuffer();
      await reader.client.until(() => reader.frames.at(-1)?.type === 'message');
      expect(reader.frames.at(-1)?.['text']).toBe(script);
      for (const path of ['/', `/room/${encodeURIComponent(script)}`, '/none']) {
        const { headers } = await fetch(stage.gateway.http(path));
        const expected = path === '/' ? ['text/html; charset=utf-8', 'nosniff'] : ['application/json', null];
        expect([path, headers.get('content-type'), headers.get('x-content-type-options')]).toEqual([path, ...expected]);
        if (path === '/') expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self'/);
      }
    });
  });
});

describe('on routes that are expressions', () => {
  const routes = ['^/(a+)+$', '^/(a|a)*b$', '^/(?<room>[a-z]+)-(?<room2>[a-z]+)$', '^/x/(.*)(.*)(.*)(.*)(.*)!$'];
  let broker: Broker;
  let stage: Stage;

  beforeAll(async () => {
    broker = await startRedis();
    const kinds = routes.map((regex) => ({ path: { regex }, kind: 'events', queue: 'q' }));
    stage = await Stage.start(['--layer', broker.url, '--routes', JSON.stringify([...kinds, { path: '/room/:room', kind: 'room' }])]);
  });

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
    await broker[Symbol.asyncDispose]();
  });

  test('attack 75: the longest path is matched at once, whatever the expression', async () => {
    const path = `/${'a'.repeat(2040)}!`;
    const once = async (): Promise<void> => {
      await using client = await RawClient.connect(stage.gateway.port);
      client.write(upgrade(path, { Host: 'localhost' }));
      expect((await client.answer()).status).toBe(404);
    };
    await once();
    await stage.withstands(async () => {
      const cost = await stage.inspector.processorMs(async () => {
        for (let time = 0; time < 20; time += 1) await once();
      });
      expect(cost / 20).toBeLessThan(25);
    });
  });
});

/** Names that mean something to a broker. */
const NAMES: readonly (readonly [attack: number, name: string, room: string])[] = [
  [63, 'a star', '*'],
  [63, 'a question mark', '?'],
  [63, 'a class of characters', '[a-z]'],
  [63, 'an escaped star', '\\*'],
  [64, 'a line break', 'a\r\nb'],
  [65, 'commands of NATS', 'a 0\r\n\r\nPUB admin.evil 4\r\npwn!\r\nPUB b'],
  [66, 'a space', 'a b'],
  [66, 'a tab', 'a\tb'],
  [67, 'everything', '>'],
  [67, 'everything below', 'a.>'],
  [67, 'a level', 'a.*.b'],
  [67, 'the system', '$SYS'],
  [67, 'JetStream', '$JS.API.STREAM.DELETE.BUSGATE_QUEUE'],
  [68, 'two dots', 'a..b'],
  [68, 'a dot first', '.a'],
  [68, 'a dot last', 'a.'],
  [69, '5,000 bytes', 'a'.repeat(5000)],
];

/** What all of a broker's traffic shows, while a test looks. */
interface Spy extends AsyncDisposable {
  readonly seen: string[];
}

async function spyOnRedis(broker: Broker): Promise<Spy> {
  const cli = new Child(await requireBinary('redis-cli', '', 'redis-tools'), ['-p', String(broker.port), 'PSUBSCRIBE', '*']);
  await cli.lines.find((line) => line.includes('psubscribe'), 'the confirmation');
  return { seen: cli.lines.all, [Symbol.asyncDispose]: () => cli[Symbol.asyncDispose]() };
}

async function spyOnNats(broker: Broker): Promise<Spy> {
  const connection = await connect({ servers: broker.url });
  const seen: string[] = [];
  connection.subscribe('>', { callback: (_error, { subject }) => void seen.push(subject) });
  await connection.flush();
  return { seen, [Symbol.asyncDispose]: () => connection.close() };
}

describe.each([
  { name: 'redis', start: startRedis, spyOn: spyOnRedis, separator: ':' },
  { name: 'nats', start: startNats, spyOn: spyOnNats, separator: '.' },
])('on $name', ({ start, spyOn, separator }) => {
  let broker: Broker;
  let stage: Stage;

  beforeAll(async () => {
    broker = await start();
    stage = await Stage.start(['--layer', broker.url]);
  });

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
    await broker[Symbol.asyncDispose]();
  });

  test.each(NAMES)('attack %i: a room called %s is no room, and the broker hears nothing of it', async (_attack, _name, room) => {
    await using spy = await spyOn(broker);
    await stage.withstands(async () => {
      await using session = await RawSession.open(stage.gateway.port);
      for (const type of ['join', 'leave', 'publish']) {
        expect(await session.ask(JSON.stringify({ type, room, text: 'pwn!', ref: 1 }))).toMatchObject({ type: 'error', code: 'bad_room' });
      }
      await using client = await RawClient.connect(stage.gateway.port);
      client.write(request(`POST /room/${encodeURIComponent(room)} HTTP/1.1`, 'Host: localhost', 'Content-Length: 0'));
      expect([400, 414]).toContain((await client.answer()).status);
      expect(await session.ask('{"type":"publish","room":"marker","text":"x","ref":1}')).toMatchObject({ type: 'published' });
    });
    await expect.poll(() => spy.seen.some((subject) => subject.includes(`room${separator}marker`))).toBe(true);
    expect(spy.seen.filter((subject) => /evil|pwn|room[.:](?!marker|witness)/.test(subject))).toEqual([]);
  });

  test('attack 64: rooms that are called like what Busgate has at its broker are rooms of their own', async () => {
    await stage.withstands(async () => {
      await using session = await RawSession.open(stage.gateway.port);
      const likes = ['busgate:room:r', 'room:r', 'busgate.room.r', 'room.r', 'r:live', 'r.live', 'live.r', 'busgate:queue:q', 'queue.q'];
      for (const room of ['r', ...likes]) expect(await session.ask(JSON.stringify({ type: 'join', room }))).toMatchObject({ type: 'joined' });
      for (const room of ['r', ...likes]) {
        const before = session.frames.length;
        session.client.write(frame(1, JSON.stringify({ type: 'publish', room, text: room })));
        await session.client.until(() => session.frames.length >= before + 2);
      }
      const messages = session.frames.filter(({ type }) => type === 'message');
      expect(messages.map(({ room, text }) => [room, text])).toEqual(['r', ...likes].map((room) => [room, room]));
    });
  });
});

describe('on a NATS server that takes little', () => {
  test('attack 70: what the broker would not take is refused at the door, and its connection stays', async () => {
    await using broker = await startNats({ config: ['max_payload: 8192'] });
    await using stage = await Stage.start(['--layer', broker.url]);
    await stage.gateway.lines.find((line) => line.includes('max_payload'), 'a warning at the start');
    await stage.withstands(async () => {
      await using raw = await openRaw(stage.gateway.port, '/room/large');
      raw.write(frame(2, Buffer.alloc(16 * KIB)));
      expect(await raw.closeCode()).toBe(1009);
      const posted = await fetch(stage.gateway.http('/room/large'), { method: 'POST', body: Buffer.alloc(16 * KIB) });
      expect(posted.status).toBe(413);
      await posted.arrayBuffer();
    });
    expect(sumOf(await metricsOf(stage.gateway), 'busgate_layer_faults_total')).toBe(0);
  });
});
