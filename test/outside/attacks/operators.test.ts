import { Redis } from 'ioredis';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { closeFrame, frame, RawClient, upgrade } from '../../../packages/gateway/test/support/raw.ts';
import { type Broker, startNats, startRedis } from '../../support/brokers.ts';
import { MultiplexClient } from '../../e2e/clients.ts';
import { metricsOf, sumOf } from '../../support/metrics.ts';
import { openRaw, Stage } from '../../attacks/stage.ts';

const MIB = 1_048_576;
/** Longest value of a field in a line of the log, and a mark that it was cut. */
const MAX_VALUE = 257;
/** A value of a label in the text format: a backslash, a quote and a line feed are escaped. */
const SAMPLE = /^[a-z_][a-z0-9_]*(?:\{(?:[a-z_][a-z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (?:[-+]?[0-9.]+(?:e[-+]?[0-9]+)?|[-+]?Inf|NaN|Nan)$/;

/** What moves a terminal, or ends a line. */
const isControl = (character: string): boolean => character < ' ' || (character >= '\u007f' && character <= '\u009f');

describe('what clients say', () => {
  let broker: Broker;
  let stage: Stage;

  beforeAll(async () => {
    broker = await startRedis();
    const routes = [
      { path: '/room/:room', kind: 'room' },
      { path: '/socket', kind: 'multiplex' },
      { path: { regex: String.raw`^/("|\\|é)+$` }, kind: 'events', queue: 'q' },
    ];
    stage = await Stage.start(['--layer', broker.url, '--routes', JSON.stringify(routes)]);
  });

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
    await broker[Symbol.asyncDispose]();
  });

  test('attack 86: thousands of rooms, paths, refs and close codes make no series', async () => {
    const names = async (): Promise<readonly string[]> => [...(await metricsOf(stage.gateway)).keys()].filter((name) => name.startsWith('busgate_'));
    await stage.withstands(async () => {
      await using client = await MultiplexClient.open(stage.gateway.ws('/socket'));
      for (let round = 0; round < 10; round += 1) {
        await Promise.all(Array.from({ length: 100 }, () => client.request({ type: 'join', room: `r.${crypto.randomUUID()}` })));
      }
      for (let round = 0; round < 100; round += 1) {
        await (await fetch(stage.gateway.http(`/none/${crypto.randomUUID()}`))).arrayBuffer();
        await using raw = await openRaw(stage.gateway.port, '/room/1');
        raw.write(closeFrame(3000 + round, crypto.randomUUID()));
        await raw.closeCode();
      }
    });
    const before = await names();
    await stage.withstands(async () => {
      await using client = await MultiplexClient.open(stage.gateway.ws('/socket'));
      await client.request({ type: 'join', room: `r.${crypto.randomUUID()}` });
      await (await fetch(stage.gateway.http(`/none/${crypto.randomUUID()}`))).arrayBuffer();
      await using raw = await openRaw(stage.gateway.port, '/room/1');
      raw.write(closeFrame(4999, 'x'));
      await raw.closeCode();
    });
    expect(await names()).toEqual(before);
  });

  test('attack 87: labels are escaped, so that each line of the page is a sample', async () => {
    const page = await (await fetch(stage.gateway.ops('/metrics'))).text();
    const samples = page.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(samples.filter((line) => !SAMPLE.test(line))).toEqual([]);
    expect(samples.some((line) => line.includes(String.raw`\"|\\\\|é`))).toBe(true);
  });

  test.each(['/metrics', '/healthz', '/readyz', '/debug', '/api/revoke', '/api/publish'])('attack 88: %s is not on the public port', async (path) => {
    await stage.withstands(async () => {
      for (const method of ['GET', 'POST']) {
        const answer = await fetch(stage.gateway.http(path), { method });
        expect(answer.status).toBe(404);
        await answer.arrayBuffer();
      }
    });
  });

  test('attack 89: fifty scrapes at a time beside thousands of rooms hold up nobody', async () => {
    await using client = await MultiplexClient.open(stage.gateway.ws('/socket'));
    await Promise.all(Array.from({ length: 1000 }, (_, index) => client.request({ type: 'join', room: `many.${index}` })));
    const scrape = async (): Promise<void> => void (await (await fetch(stage.gateway.ops('/metrics'))).arrayBuffer());
    const scrapes = (): Promise<unknown> => Promise.all(Array.from({ length: 50 }, scrape));
    await scrapes();
    const alone = await stage.inspector.processorMs(scrape);
    const together = await stage.inspector.processorMs(async () => void (await scrapes()));
    expect(together).toBeLessThan(Math.max(50, 25 * alone));
  });

  test('attack 91: what a client writes moves no terminal, begins no line, and is cut', async () => {
    const origin = `http://\u001b[2J\u009bevil${'x'.repeat(10_000)}`;
    await stage.withstands(async () => {
      for (let time = 0; time < 30; time += 1) {
        await using client = await RawClient.connect(stage.gateway.port);
        client.write(Buffer.from(upgrade('/room/1', { Host: 'localhost', Origin: origin }), 'latin1'));
        expect([400, 403]).toContain((await client.answer()).status);
        await (await fetch(stage.gateway.http('/room/1'), { method: 'POST', headers: { Origin: `http://evil.test/${'y'.repeat(5000)}` } })).arrayBuffer();
      }
    });
    const lines = stage.gateway.lines.all.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>);
    const refused = lines.filter(({ message }) => String(message).includes('origin'));
    expect(refused.length).toBeGreaterThan(0);
    // Of each round 60 were refused for an origin.
    expect(refused.filter(({ suppressed }) => suppressed === undefined).length).toBeLessThan(60);
    for (const fields of refused) for (const value of Object.values(fields)) expect(String(value).length).toBeLessThanOrEqual(MAX_VALUE);
    expect(stage.gateway.lines.all.filter((line) => Array.from(line).some(isControl))).toEqual([]);
  });
});

const LARGE = Buffer.alloc(MIB, 'x');
/** What no program of ours would publish. */
const GARBAGE = ['', '{', '[]', 'null', '{"v":99}', '\u00ff\u00fe', '{"$to":"x","$message":{', `{"$to":"x","$message":{${'"a":['.repeat(5000)}`, LARGE];

/** What reaches a gateway from its broker: what processes tell each other, what is for one of them, a room, and one that keeps its messages. */
const topicsOf = (process: string, separator: string): readonly string[] =>
  [
    ['process', process],
    ['control', 'processes'],
    ['room', 'r'],
    ['room', 'kept.1'],
    ['group', 'g'],
  ].map((levels) => ['busgate', ...levels].join(separator));

async function publishOnRedis({ port }: Broker, process: string): Promise<number> {
  const redis = new Redis(port);
  try {
    const topics = [...topicsOf(process, ':'), '{busgate:room:kept.1}:live'];
    const heard = await Promise.all(topics.flatMap((topic) => GARBAGE.map((payload) => redis.publish(topic, payload))));
    return heard.reduce((sum, subscribers) => sum + subscribers, 0);
  } finally {
    redis.disconnect();
  }
}

async function publishOnNats({ url }: Broker, process: string): Promise<number> {
  const connection = await connect({ servers: url });
  const topics = [...topicsOf(process, '.'), 'busgate.live.none.kept.1'];
  for (const topic of topics) for (const payload of GARBAGE) connection.publish(topic, payload);
  await connection.drain();
  return topics.length * GARBAGE.length;
}

describe.each([
  { name: 'redis', start: startRedis, publish: publishOnRedis },
  { name: 'nats', start: startNats, publish: publishOnNats },
])('what comes from $name', ({ start, publish }) => {
  test('attack 92: whatever is published at the broker, it is passed on or counted, and nobody is closed', async () => {
    await using broker = await start();
    await using stage = await Stage.start(['--layer', broker.url, '--history', '[{rooms: "kept.>", size: 10, age: 1m}]']);
    await stage.withstands(async () => {
      await using client = await MultiplexClient.open(stage.gateway.ws('/socket'));
      await using raw = await openRaw(stage.gateway.port, '/room/r');
      for (const room of ['r', 'kept.1']) await client.request({ type: 'join', room });
      const process = String(client.frames[0]?.['session']).split('-', 1)[0] ?? '';
      expect(await publish(broker, process)).toBeGreaterThanOrEqual(4 * GARBAGE.length);
      raw.write(frame(1, 'marker'));
      await raw.until((frames) => frames.at(-1)?.payload.toString() === 'marker');
      expect((await client.request({ type: 'publish', room: 'kept.1', text: 'marker' })).type).toBe('published');
      await client.until(() => client.messages('kept.1').includes('marker'));
    });
    expect(sumOf(await metricsOf(stage.gateway), 'busgate_layer_undecodable_total')).toBeGreaterThan(0);
  });
});
