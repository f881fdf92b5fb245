import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { TestPublic } from './support/public.ts';
import { RawClient, request, upgrade } from './support/raw.ts';
import { StreamClient } from './support/stream.ts';

/** This machine's loopback, as a proxy. */
const PROXY = ['--trusted-proxies', '127.0.0.1'];

/** Asks for a socket on behalf of `client`, and answers with the status. */
async function ask(gateway: TestGateway, client: string, stack: AsyncDisposableStack): Promise<number> {
  const raw = stack.use(await RawClient.connect(gateway.port));
  raw.write(upgrade('/room/1', client === '' ? {} : { 'X-Forwarded-For': client }));
  return (await raw.answer()).status;
}

async function askAll(gateway: TestGateway, clients: readonly string[], stack: AsyncDisposableStack): Promise<number[]> {
  const statuses: number[] = [];
  for (const client of clients) statuses.push(await ask(gateway, client, stack));
  return statuses;
}

describe('limits.address.sessions', () => {
  test('counts sockets and streams of an address together, says 429 and when to come back, and frees the place of one that ends', async () => {
    await using gateway = await TestGateway.start(['--limits-address-sessions', '2']);
    await using socket = await Client.open(gateway.ws('/room/1'));
    await using _stream = await StreamClient.open(gateway.port, '/room/1');
    await using refused = await RawClient.connect(gateway.port);
    refused.write(upgrade('/room/1'));
    const answer = await refused.answer();
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([429, { error: 'rate' }]);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    await using stream = await StreamClient.open(gateway.port, '/room/1');
    expect(stream.head).toContain('HTTP/1.1 429');
    expect(gateway.gateway.counters.refused.rate).toBe(2);
    socket.socket.terminate();
    await until(() => gateway.gateway.sessions === 1, 'the socket has ended');
    await using _next = await Client.open(gateway.ws('/room/1'));
  });

  test('what was refused for another reason, or never began, takes no place', async () => {
    await using gateway = await TestGateway.start(['--limits-address-sessions', '1', '--origins', 'https://good.example']);
    await using stack = new AsyncDisposableStack();
    for (const changes of [{ Origin: 'https://evil.example' }, {}, {}]) {
      const raw = stack.use(await RawClient.connect(gateway.port));
      raw.write(upgrade('/room/1?since=none', changes));
      expect((await raw.answer()).status).toBeOneOf([400, 403]);
    }
    await using head = await RawClient.connect(gateway.port);
    head.write(request('HEAD /room/1 HTTP/1.1', 'Host: a', 'Accept: text/event-stream'));
    expect((await head.head()).status).toBe(200);
    expect(await ask(gateway, '', stack)).toBe(101);
  });

  test('is that of the client behind a trusted proxy, and nobody else can choose his own', async () => {
    await using behind = await TestGateway.start([...PROXY, '--limits-address-sessions', '1']);
    await using direct = await TestGateway.start(['--limits-address-sessions', '1']);
    await using stack = new AsyncDisposableStack();
    expect(await askAll(behind, ['198.51.100.1', '198.51.100.2', '8.8.8.8, 198.51.100.2', '2001:db8::1', '2001:db8::2'], stack)).toEqual([
      101, 101, 429, 101, 429,
    ]);
    expect(await askAll(direct, ['198.51.100.1', '198.51.100.2'], stack)).toEqual([101, 429]);
  });
});

describe('limits.address.handshakes', () => {
  test('200 upgrades of one address in a second: those past the burst are refused with 429, and another address is not (attack 24)', async () => {
    await using gateway = await TestGateway.start([...PROXY, '--limits-address-handshakes', '1/s burst 50']);
    await using stack = new AsyncDisposableStack();
    const statuses = await Promise.all(Array.from({ length: 200 }, () => ask(gateway, '198.51.100.1', stack)));
    const accepted = statuses.filter((status) => status === 101).length;
    expect(accepted).toBeGreaterThanOrEqual(50);
    expect(statuses.filter((status) => status === 429).length).toBe(200 - accepted);
    expect(accepted).toBeLessThan(100);
    expect(await ask(gateway, '198.51.100.2', stack)).toBe(101);
  });

  test('polls and histories count as sockets and streams do, whatever sessions the address has, and what is published does not', async () => {
    const limits = ['--limits-address-handshakes', '1/s burst 20', '--limits-address-sessions', '1'];
    await using gateway = await TestGateway.start([...PROXY, ...limits], [{ rooms: '>', size: 10, ageMs: 60_000 }]);
    await using stack = new AsyncDisposableStack();
    const statusesOf = (count: number, path: string, client: string, init: RequestInit = {}): Promise<readonly number[]> =>
      Promise.all(
        Array.from({ length: count }, async () => {
          const answer = await fetch(gateway.http(path), { ...init, headers: { 'X-Forwarded-For': client } });
          await answer.text();
          return answer.status;
        }),
      );
    for (const [index, path] of ['/room/1?poll=0', '/room/1?last=1', '/socket?poll=0&rooms=1'].entries()) {
      const client = `198.51.100.${index}`;
      expect(await ask(gateway, client, stack)).toBe(101);
      const statuses = await statusesOf(100, path, client);
      const answered = statuses.filter((status) => status === 200).length;
      expect(answered).toBeGreaterThanOrEqual(19);
      expect(answered).toBeLessThan(70);
      expect(statuses.filter((status) => status === 429).length).toBe(100 - answered);
    }
    expect(new Set(await statusesOf(100, '/room/1', '198.51.100.9', { method: 'POST', body: 'x' }))).toEqual(new Set([202]));
    expect(await statusesOf(1, '/room/1?poll=0', '198.51.100.9')).toEqual([200]);
  });
});

const V1 = 'PROXY TCP4 198.51.100.1 10.0.0.1 5555 443\r\n';
const V2 = Buffer.from('0d0a0d0a000d0a515549540a2111000cc63364010a00000115b301bb', 'hex').toString('latin1');

describe('the PROXY protocol', () => {
  const flags = [...PROXY, '--proxy-protocol', '--limits-address-sessions', '1'];

  test('says who a connection is from, in both versions, before the first request', async () => {
    await using gateway = await TestGateway.start(flags);
    await using stack = new AsyncDisposableStack();
    const raw = async (head: string): Promise<number> => {
      const client = stack.use(await RawClient.connect(gateway.port));
      client.write(Buffer.from(head, 'latin1'), upgrade('/room/1'));
      return (await client.answer()).status;
    };
    expect(await raw(V1)).toBe(101);
    expect(await raw(V2)).toBe(429);
    expect(await raw(V1.replace('198.51.100.1', '198.51.100.2'))).toBe(101);
    expect(await raw('PROXY UNKNOWN\r\n')).toBe(101);
    expect(await raw('PROXY UNKNOWN\r\n')).toBe(429);
  });

  test('may come byte for byte, and what came with its last byte is the client’s', async () => {
    await using gateway = await TestGateway.start(flags);
    await using client = await RawClient.connect(gateway.port);
    for (const byte of V1.slice(0, -1)) {
      client.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    client.write(`\n${upgrade('/room/1')}`);
    expect((await client.answer()).status).toBe(101);
    await using _other = await RawClient.connect(gateway.port);
    await until(() => gateway.gateway.sessions === 1, 'it is a session');
  });

  test('a trusted proxy that does not begin with it, and anybody else who does, is 400', async () => {
    await using trusted = await TestGateway.start(flags);
    await using untrusted = await TestGateway.start(['--trusted-proxies', '10.0.0.0/8', '--proxy-protocol']);
    await using off = await TestGateway.start(PROXY);
    await using stack = new AsyncDisposableStack();
    const statusOf = async (gateway: TestGateway, head: string): Promise<[number, string]> => {
      const client = stack.use(await RawClient.connect(gateway.port));
      client.write(Buffer.from(head, 'latin1'), upgrade('/room/1'));
      const { status, body } = await client.answer();
      if (status !== 101) await client.closed();
      return [status, body === '' ? '' : (JSON.parse(body) as { error: string }).error];
    };
    expect(await statusOf(trusted, '')).toEqual([400, 'bad_request']);
    expect(await statusOf(untrusted, V1)).toEqual([400, 'bad_request']);
    expect(await statusOf(untrusted, V2)).toEqual([400, 'bad_request']);
    expect(await statusOf(off, V1)).toEqual([400, 'bad_request']);
    expect(await statusOf(untrusted, '')).toEqual([101, '']);
    expect(untrusted.gateway.counters.refused.bad_request).toBe(2);
  });

  test('that does not come in limits.handshake is 408, and one that leaves before leaves nothing behind', async () => {
    await using gateway = await TestGateway.start([...flags, '--limits-handshake', '200ms']);
    await using silent = await RawClient.connect(gateway.port);
    await using leaving = await RawClient.connect(gateway.port);
    leaving.write('PROXY');
    leaving.socket.resetAndDestroy();
    silent.write('PROXY TCP4 ');
    expect((await silent.answer()).status).toBe(408);
    await silent.closed();
  });

  test('a gateway that closes ends those that have not begun', async () => {
    const gateway = await TestGateway.start(flags);
    await using waiting = await RawClient.connect(gateway.port);
    waiting.write('PROXY');
    await using served = await RawClient.connect(gateway.port);
    served.write(V1, upgrade('/room/1'));
    await served.answer();
    await gateway[Symbol.asyncDispose]();
    await expect(Promise.all([waiting.closed(), served.closed()])).resolves.toHaveLength(2);
  });
});

test('a connection that somebody else has accepted has no longer for its headers', async () => {
  await using server = await TestPublic.start({ handshake: 200 });
  await using other = TestPublic.unheard({ handshake: 200 });
  const door = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => other.server.accept(socket)).listen(0, '127.0.0.1');
  await once(door, 'listening');
  for (const port of [server.port, (door.address() as { port: number }).port]) {
    await using client = await RawClient.connect(port);
    client.write('GET / HTTP/1.1\r\nHost: a\r\n');
    expect((await client.answer()).status).toBe(408);
    await client.closed();
  }
  await new Promise((resolve) => door.close(resolve));
});
