import { consumer, Consumer, demultiplex, handlers, http, RejectConnection, router, type Data } from '@busgate/consumer';
import { asRouter, Worker, type Router } from '@busgate/consumer/run';
import type { ChannelLayer, Message } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';

const SILENT = { warn: () => undefined, error: () => undefined };

function start(...flags: string[]): Promise<TestGateway> {
  return TestGateway.start(['--layer', 'redis://unused', '--routes', "[{path: '/app/*', kind: events, queue: app, http: true}]", ...flags]);
}

function work(layer: ChannelLayer, exported: unknown, concurrency?: number): Worker & AsyncDisposable {
  const worker = new Worker({ layer, router: asRouter(exported) as Router, queue: 'app', log: SILENT, ...(concurrency === undefined ? {} : { concurrency }) });
  worker.start();
  return Object.assign(worker, { [Symbol.asyncDispose]: () => worker.stop() });
}

const echo = consumer(async (socket) => {
  for await (const message of socket) await socket.send(message);
});

class Chat extends Consumer {
  static override handlers = { said: 'onSaid' };

  override async connect(): Promise<void> {
    await this.groups.add('chat');
    await this.accept();
  }

  override async receive(message: Data): Promise<void> {
    await this.groups.send('chat', { type: 'said', text: message });
  }

  async onSaid(event: Message): Promise<void> {
    await this.send(event['text'] as string);
  }
}

const counting = handlers({
  receive: async (socket) => {
    const count = ((socket.state as number | null) ?? 0) + 1;
    await socket.setState(count);
    await socket.send(String(count));
  },
});

describe('a worker', () => {
  test('runs a function for as long as its socket, and answers each message in order', async () => {
    await using gateway = await start();
    await using _worker = work(gateway.layer, echo);
    await using client = await Client.open(gateway.ws('/app/a'));
    for (let n = 0; n < 200; n += 1) client.send(String(n));
    await client.until(() => client.received.length === 200);
    expect(client.received).toEqual(Array.from({ length: 200 }, (_, n) => String(n)));
  });

  test('has classes hear each other by their groups, and requests answered on the same path', async () => {
    await using gateway = await start();
    await using _worker = work(gateway.layer, router({ '/app/chat': [Chat, http((request) => new Response(`asked ${new URL(request.url).search}`))] }));
    await using one = await Client.open(gateway.ws('/app/chat'));
    await using two = await Client.open(gateway.ws('/app/chat'));
    one.send('hello');
    await Promise.all([one, two].map((client) => client.until(() => client.received.length === 1)));
    expect([one.received, two.received]).toEqual([['hello'], ['hello']]);
    const answer = await fetch(gateway.http('/app/chat?x=1'));
    expect([answer.status, await answer.text()]).toEqual([200, 'asked ?x=1']);
    expect((await fetch(gateway.http('/app/none'))).status).toBe(404);
  });

  test('keeps nothing of stateless sockets: two share one, event by event', async () => {
    await using gateway = await start();
    await using _one = work(gateway.layer, counting);
    await using _two = work(gateway.layer, counting);
    await using client = await Client.open(gateway.ws('/app/a'));
    for (let n = 0; n < 20; n += 1) client.send('x');
    await client.until(() => client.received.length === 20);
    expect(client.received).toEqual(Array.from({ length: 20 }, (_, n) => String(n + 1)));
  });

  test('that stops gives its sockets to another one, in the middle of their messages, and no client notices', async () => {
    await using gateway = await start();
    await using first = work(gateway.layer, echo);
    const clients = await Promise.all(Array.from({ length: 20 }, () => Client.open(gateway.ws('/app/a'))));
    await using _second = work(gateway.layer, echo);
    for (let n = 0; n < 100; n += 1) {
      for (const client of clients) client.send(String(n));
      if (n === 50) await first.stop();
    }
    await Promise.all(clients.map((client) => client.until(() => client.received.length === 100)));
    for (const client of clients) {
      expect(client.received).toEqual(Array.from({ length: 100 }, (_, n) => String(n)));
      expect(client.closeCode).toBeUndefined();
    }
    expect(first.size).toBe(0);
    expect(gateway.gateway.events[0]).toMatchObject({ undone: { lost: 0, timeout: 0 }, stale: 0 });
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  });

  const leaving: readonly [what: string, exported: unknown, code: number][] = [
    ['a function that returns with messages unread', consumer(async (socket) => void (await socket.receive())), 1000],
    [
      'a function that fails with messages unread',
      consumer(async (socket) => {
        await socket.receive();
        throw new Error('broken');
      }),
      1011,
    ],
    [
      'a class that closes while it handles one',
      class extends Consumer {
        override receive(): Promise<void> {
          return this.close(4001);
        }
      },
      4001,
    ],
    [
      'a class that fails with others behind it',
      class extends Consumer {
        override receive(): never {
          throw new Error('broken');
        }
      },
      1011,
    ],
    [
      'a class that closes in connect',
      class extends Consumer {
        override async connect(): Promise<void> {
          await this.accept();
          await this.close(4002);
        }
      },
      4002,
    ],
    ['stateless handlers that close', handlers({ receive: (socket) => socket.close(4003) }), 4003],
    [
      'stateless handlers that fail',
      handlers({
        receive: () => {
          throw new Error('broken');
        },
      }),
      1011,
    ],
  ];
  test.each(leaving)('leaves nothing in flight that nobody will handle: %s', async (_, exported, code) => {
    await using gateway = await start();
    await using _worker = work(gateway.layer, exported);
    await using client = await Client.open(gateway.ws('/app/a'));
    for (let n = 0; n < 5; n += 1) client.send(String(n));
    expect(await client.closed()).toBe(code);
    const [counters] = gateway.gateway.events;
    await until(() => counters?.disconnects === 1, 'the end was told');
    expect(counters).toMatchObject({ queued: counters?.handled, undone: { timeout: 0, lost: 0, returned: 0 }, timeouts: { handler: 0 } });
  });

  test('says in one turn more than a message may hold, and all of it arrives in order', async () => {
    await using gateway = await start('--limits-outbox', '8MiB');
    const pieces = Array.from({ length: 40 }, (_, index) => `${index} ${'x'.repeat(60_000)}`);
    await using _worker = work(
      gateway.layer,
      consumer(async (socket) => {
        await socket.receive();
        await Promise.all(pieces.map((piece) => socket.send(piece)));
        await socket.receive();
      }),
    );
    await using client = await Client.open(gateway.ws('/app/a'));
    client.send('go');
    await client.until(() => client.received.length === 40);
    expect(client.received).toEqual(pieces);
  });

  test('that takes over several consumers on one socket gives each the state that it had', async () => {
    class Counter extends Consumer {
      override async receive(): Promise<void> {
        const count = ((this.state as number | null) ?? 0) + 1;
        await this.setState(count);
        await this.send(String(count));
      }
    }
    await using gateway = await start();
    await using first = work(gateway.layer, demultiplex({ a: Counter, b: Counter }));
    await using client = await Client.open(gateway.ws('/app/a'));
    for (const stream of ['a', 'a', 'b']) client.send(JSON.stringify({ stream, payload: 0 }));
    await client.until(() => client.received.length === 3);
    await first.stop();
    await using _second = work(gateway.layer, demultiplex({ a: Counter, b: Counter }));
    for (const stream of ['a', 'b']) client.send(JSON.stringify({ stream, payload: 0 }));
    await client.until(() => client.received.length === 5);
    // Streams are handled side by side: each has an order of its own.
    const said = client.received.map((text) => JSON.parse(String(text)) as { stream: string; payload: number });
    const of = (name: string): number[] => said.filter(({ stream }) => stream === name).map(({ payload }) => payload);
    expect([of('a'), of('b')]).toEqual([
      [1, 2, 3],
      [1, 2],
    ]);
  });

  test('that takes a session over and refuses it closes it', async () => {
    await using gateway = await start();
    await using first = work(gateway.layer, echo);
    await using client = await Client.open(gateway.ws('/app/a'));
    await first.stop();
    await using _second = work(
      gateway.layer,
      consumer(() => {
        throw new RejectConnection(403);
      }),
    );
    expect(await client.closed()).toBe(1008);
  });

  test('that fails in the middle of an answer leaves it unfinished', async () => {
    await using gateway = await start();
    let pieces = 0;
    const failing = http(() => {
      const pull = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
        pieces += 1;
        if (pieces === 3) throw new Error('broken');
        controller.enqueue(new Uint8Array([pieces]));
      };
      return new Response(new ReadableStream<Uint8Array>({ pull }));
    });
    await using _worker = work(gateway.layer, failing);
    const answer = await fetch(gateway.http('/app/a'));
    await expect(answer.arrayBuffer()).rejects.toThrow();
  });

  test('takes no more sockets than it may have at once: the others wait for another one', async () => {
    await using gateway = await start();
    await using one = work(gateway.layer, echo, 2);
    const clients = await Promise.all([Client.open(gateway.ws('/app/a')), Client.open(gateway.ws('/app/a'))]);
    const third = Client.open(gateway.ws('/app/a'));
    await using two = work(gateway.layer, echo, 2);
    await using client = await third;
    client.send('x');
    await client.until(() => client.received.length === 1);
    expect(one.size).toBe(2);
    expect(two.size).toBe(1);
    await Promise.all(clients.map((each) => each[Symbol.asyncDispose]()));
  });
});
