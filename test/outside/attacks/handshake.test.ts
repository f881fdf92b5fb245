import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { closeFrame, frame, RawClient, request, upgrade } from '../../../packages/gateway/test/support/raw.ts';
import { metricsOf, sumOf } from '../../support/metrics.ts';
import { changed, HOST, REFUSALS, protocols, target } from '../../attacks/refusals.ts';
import { openRaw, Stage } from '../../attacks/stage.ts';

/** Times that each is sent, so that what one leaves behind is seen. */
const TIMES = 20;

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.start(['--limits-handshake', '500ms', '--limits-sessions', '100']);
});

afterAll(async () => {
  await stage[Symbol.asyncDispose]();
});

test.each(REFUSALS)('attack $attack: $name is answered $status, and the connection ends', async ({ sent, status, header }) => {
  await stage.withstands(async () => {
    const once = async (): Promise<void> => {
      await using client = await RawClient.connect(stage.gateway.port);
      client.write(sent);
      const answer = await client.answer();
      expect(answer.status).toBe(status);
      // A 426 names a protocol to go on by, and that is said of the connection, too (RFC 9110 section 7.8).
      expect(answer.headers.get('connection')).toBe(status === 426 ? 'close, Upgrade' : 'close');
      expect(Buffer.byteLength(answer.body)).toBeLessThanOrEqual(200);
      if (header !== undefined) expect(answer.headers.get(header[0])).toBe(header[1]);
      await client.closed();
    };
    await Promise.all(Array.from({ length: TIMES }, once));
  });
});

test('attack 1: who says nothing is cut off when the time for a handshake is over', async () => {
  await stage.withstands(async () => {
    const silent = await Promise.all(Array.from({ length: TIMES }, () => RawClient.connect(stage.gateway.port)));
    const began = performance.now();
    await Promise.all(silent.map((client) => client.closed()));
    expect(performance.now() - began).toBeLessThan(2000);
    await Promise.all(silent.map((client) => client[Symbol.asyncDispose]()));
  });
});

test('attack 2: who sends a header line now and then is answered 408 when that time is over, counted from the first byte', async () => {
  await stage.withstands(async () => {
    await using client = await RawClient.connect(stage.gateway.port);
    client.write('GET /room/1 HTTP/1.1\r\nHost: localhost\r\n');
    const drip = setInterval(() => client.write('X-Drip: x\r\n'), 50);
    expect((await client.answer()).status).toBe(408);
    clearInterval(drip);
    await client.closed();
  });
});

test('attack 5: spaces in a header cost next to nothing', async () => {
  const once = async (): Promise<void> => {
    await using client = await RawClient.connect(stage.gateway.port);
    client.write(protocols(`b${' '.repeat(15_000)}x`));
    await client.answer();
  };
  await once();
  const cost = await stage.inspector.processorMs(async () => {
    for (let time = 0; time < TIMES; time += 1) await once();
  });
  expect(cost / TIMES).toBeLessThan(50);
});

describe('what is taken', () => {
  test.each([
    { offered: undefined, chosen: undefined, path: '/socket' },
    { offered: 'soap, wamp', chosen: undefined, path: '/socket' },
    { offered: 'soap, busgate.v1', chosen: 'busgate.v1', path: '/socket' },
    { offered: 'soap, busgate.v1', chosen: 'busgate.v1', path: '/room/1' },
    { offered: 'soap', chosen: undefined, path: '/room/1' },
  ])('attack 7: of the subprotocols $offered $path chooses $chosen, and never one that was not offered', async ({ offered, chosen, path }) => {
    await stage.withstands(async () => {
      await using client = await RawClient.connect(stage.gateway.port);
      client.write(upgrade(path, { ...HOST, ...(offered === undefined ? {} : { 'Sec-WebSocket-Protocol': offered }) }));
      const answer = await client.answer();
      expect([answer.status, answer.headers.get('sec-websocket-protocol')]).toEqual([101, chosen]);
    });
  });

  test.each([
    'permessage-deflate; x=;',
    'permessage-deflate; server_max_window_bits=99; client_max_window_bits=7',
    'permessage-deflate; client_max_window_bits=16',
    'permessage-deflate; server_no_context_takeover; server_no_context_takeover',
    Array.from({ length: 100 }, () => 'permessage-deflate').join(', '),
    '"',
    ';;,,==',
  ])('attacks 22, 48, 49: the extensions %.60s are declined', async (offers) => {
    await stage.withstands(async () => {
      await using client = await RawClient.connect(stage.gateway.port);
      client.write(changed({ 'Sec-WebSocket-Extensions': offers }));
      const { status, headers } = await client.answer();
      expect([status, headers.has('sec-websocket-extensions')]).toEqual([101, false]);
    });
  });

  test('attack 15: a frame that comes with the upgrade is handled once, and a request behind it is no frame', async () => {
    await stage.withstands(async () => {
      await using early = await RawClient.connect(stage.gateway.port);
      early.write(Buffer.concat([Buffer.from(target('/room/early')), frame(1, 'early'), frame(1, 'marker')]));
      expect((await early.answer()).status).toBe(101);
      await early.until((frames) => frames.length === 2);
      expect(early.frames.map(({ payload }) => payload.toString())).toEqual(['early', 'marker']);
      await using pipelined = await RawClient.connect(stage.gateway.port);
      pipelined.write(target('/room/early') + request('GET / HTTP/1.1', 'Host: localhost'));
      expect((await pipelined.answer()).status).toBe(101);
      expect(await pipelined.closeCode()).toBe(1002);
    });
  });
});

test('attack 23: clients that are gone before their answer leave no place taken', async () => {
  await stage.withstands(async () => {
    for (let round = 0; round < 500; round += 1) {
      const client = await RawClient.connect(stage.gateway.port);
      client.write(target(`/room/leaving.${round % 5}`));
      client.socket.resetAndDestroy();
    }
    await expect.poll(async () => sumOf(await metricsOf(stage.gateway), 'busgate_sessions')).toBeLessThanOrEqual(1);
  });
});

test('attack 25: past its sessions a gateway answers 503 with a time to come back, and its metrics go on', async () => {
  await stage.withstands(async () => {
    const most = sumOf(await metricsOf(stage.gateway), 'busgate_sessions_limit') - sumOf(await metricsOf(stage.gateway), 'busgate_sessions');
    const clients = await Promise.all(Array.from({ length: most }, () => openRaw(stage.gateway.port, '/room/full')));
    await using late = await RawClient.connect(stage.gateway.port);
    late.write(target('/room/full'));
    const { status, headers } = await late.answer();
    expect([status, headers.has('retry-after')]).toEqual([503, true]);
    expect((await fetch(stage.gateway.ops('/healthz'))).status).toBe(200);
    for (const client of clients) client.write(closeFrame(1000));
    await Promise.all(clients.map((client) => client.closed()));
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  });
});

test.each([
  ['the room', '/room/a%0d%0aX-Evil:%20b', {}],
  ['the query', '/room/1?x=%0d%0aX-Evil:%20b', {}],
  ['the origin', '/room/1', { Origin: 'http://localhost\u000bX-Evil: b' }],
  ['the subprotocol', '/socket', { 'Sec-WebSocket-Protocol': 'busgate.v1\u000bX-Evil: b' }],
] as const)('attack 26: a line break in %s makes no header of the answer', async (_, path, changes) => {
  await stage.withstands(async () => {
    for (const method of ['GET', 'POST', 'OPTIONS']) {
      await using client = await RawClient.connect(stage.gateway.port);
      const headers = { ...HOST, ...changes };
      client.write(
        method === 'GET' ? upgrade(path, headers) : request(`${method} ${path} HTTP/1.1`, ...Object.entries(headers).map((pair) => pair.join(': '))),
      );
      const answer = await client.answer();
      expect([...answer.headers.keys()].filter((name) => name.includes('evil'))).toEqual([]);
      expect(answer.body).not.toMatch(/evil/i);
    }
  });
});
