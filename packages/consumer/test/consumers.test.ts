import { openLayer, type Message } from '@busgate/layer';
import {
  AcceptConnection,
  CloseConnection,
  connectTo,
  ConnectionClosedError,
  Consumer,
  consumer,
  handlers,
  JsonConsumer,
  ReceiveTimeoutError,
  RejectConnection,
  router,
  StopConsumer,
  type ConsumerClass,
  type Data,
  type Socket,
} from '@busgate/consumer';
import { describe, expect, it } from 'vitest';

const echo = consumer(async (socket) => {
  for await (const message of socket) await socket.send(message);
});

describe('a consumer that is a function', () => {
  it('is accepted by joining a room, too', async () => {
    await using layer = await openLayer('memory:joined');
    await using connection = await connectTo(
      consumer(async (socket) => {
        await socket.rooms.join('news');
        for await (const message of socket) await socket.rooms.publish('news', message);
      }),
      { layer },
    );
    connection.send('heard');
    expect(await connection.receive()).toBe('heard');
  });

  it('is accepted when it first uses its socket, and takes every message in order', async () => {
    await using connection = await connectTo(echo);
    expect(connection).toMatchObject({ accepted: true, status: 101 });
    for (const message of ['a', 'b', new Uint8Array([1, 2])]) connection.send(message);
    expect([await connection.receive(), await connection.receive(), await connection.receive()]).toEqual(['a', 'b', new Uint8Array([1, 2])]);
  });

  it('closes with 1000 when it returns, and with 1011 when it throws, which is logged with its route', async () => {
    const logged: unknown[] = [];
    const log = { warn: () => undefined, error: (_: string, fields?: Record<string, unknown>) => void logged.push(fields?.['route']) };
    await using good = await connectTo(consumer((socket) => socket.send('bye')));
    expect(await good.receive()).toBe('bye');
    await expect(good.receive()).rejects.toThrow('closed with 1000');
    await using bad = await connectTo(
      consumer(async (socket) => {
        await socket.accept();
        throw new Error('broken');
      }),
      { log },
    );
    await expect(bad.receive()).rejects.toThrow('closed with 1011');
    expect(logged).toEqual(['test']);
  });

  it('refuses before it uses its socket: with a status, with 500 where it fails, with 403 where it just returns', async () => {
    const refuse = consumer(() => {
      throw new RejectConnection(401, 'who are you');
    });
    const fail = consumer(() => {
      throw new Error('broken');
    });
    expect(await connectTo(refuse)).toMatchObject({ accepted: false, status: 401 });
    expect(await connectTo(fail)).toMatchObject({ accepted: false, status: 500 });
    expect(await connectTo(consumer(() => undefined))).toMatchObject({ accepted: false, status: 403 });
  });

  it('closes with the code that it throws', async () => {
    await using connection = await connectTo(
      consumer(async (socket) => {
        await socket.receive();
        throw new CloseConnection(4001, 'enough');
      }),
    );
    connection.send('x');
    await expect(connection.receive()).rejects.toThrow('closed with 4001: enough');
    expect(connection).toMatchObject({ closeCode: 4001, closeReason: 'enough' });
  });

  it('chooses one of the offered subprotocols and adds headers; another one is an error', async () => {
    const choose = consumer((socket) => socket.accept({ subprotocol: 'v2', headers: [['set-cookie', 'a=b']] }));
    await using good = await connectTo(choose, { subprotocols: ['v1', 'v2'] });
    expect(good).toMatchObject({ accepted: true, subprotocol: 'v2', headers: [['set-cookie', 'a=b']] });
    expect(await connectTo(choose, { subprotocols: ['v1'] })).toMatchObject({ accepted: false, status: 500 });
  });

  it('waits for a message for so long, for as long as a signal says, or not at all, and loses none', async () => {
    const seen: unknown[] = [];
    await using connection = await connectTo(
      consumer(async (socket) => {
        seen.push(socket.tryReceive('nothing'), socket.hasMessages, socket.pendingMessages);
        await socket.receive({ timeout: 1 }).catch((error: unknown) => seen.push(error));
        const stop = new AbortController();
        const waiting = socket.receive({ signal: stop.signal });
        stop.abort(new Error('no longer'));
        await waiting.catch((error: unknown) => seen.push((error as Error).message));
        await socket.send('ready');
        seen.push(await socket.receive(), await socket.receive());
        await socket.send('seen');
      }),
    );
    expect(await connection.receive()).toBe('ready');
    connection.send('one');
    connection.send('two');
    expect(await connection.receive()).toBe('seen');
    expect(seen).toEqual(['nothing', false, 0, expect.any(ReceiveTimeoutError), 'no longer', 'one', 'two']);
  });

  it('gives out what had come before the end, then tells how it ended', async () => {
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<unknown>();
    const connection = await connectTo(
      consumer(async (socket) => {
        await socket.accept();
        await gone;
        const last = await socket.receive();
        await socket.receive().catch((error: unknown) => ended.resolve([last, socket.closed, error]));
        await socket.send('too late').catch((error: unknown) => expect(error).toBeInstanceOf(ConnectionClosedError));
      }),
    );
    connection.send('last');
    const left = connection.disconnect(1001, 'away');
    resolve();
    expect(await ended.promise).toEqual(['last', true, expect.objectContaining({ code: 1001, reason: 'away' })]);
    await left;
  });

  it('has what its request said', async () => {
    let seen: Socket['request'] | undefined;
    await using connection = await connectTo(
      router({
        '/chat/:room': consumer(async (socket) => {
          seen = socket.request;
          await socket.send(socket.params['room'] ?? '');
        }),
      }),
      { path: '/chat/a%20b?token=1&token=2', headers: { Origin: 'https://app.example', Cookie: 'a=1' }, user: 'ann', info: { name: 'Ann' } },
    );
    expect(await connection.receive()).toBe('a b');
    expect(seen).toMatchObject({ path: '/chat/a b', rawPath: '/chat/a%20b', origin: 'https://app.example', user: 'ann', info: { name: 'Ann' } });
    expect(seen?.query.getAll('token')).toEqual(['1', '2']);
    expect(seen?.headers.get('cookie')).toBe('a=1');
  });
});

class Chat extends Consumer<{ room: string }> {
  static override handlers = { 'chat.message': 'onChat' };

  override async connect(): Promise<void> {
    await this.groups.add(`chat.${this.params.room}`);
    await this.accept();
  }

  override async receive(message: Data): Promise<void> {
    await this.groups.send(`chat.${this.params.room}`, { type: 'chat.message', text: message });
  }

  async onChat(event: Message): Promise<void> {
    await this.send(event['text'] as string);
  }
}

describe('a consumer that is a class', () => {
  it('hears what its group is sent, by its table of handlers, from every other one', async () => {
    await using layer = await openLayer('memory:consumer-groups');
    const chat = router({ '/chat/:room': Chat });
    await using one = await connectTo(chat, { path: '/chat/1', layer });
    await using two = await connectTo(chat, { path: '/chat/1', layer });
    await using other = await connectTo(chat, { path: '/chat/2', layer });
    one.send('hello');
    expect(await two.receive()).toBe('hello');
    expect(await one.receive()).toBe('hello');
    other.send('marker');
    expect(await other.receive()).toBe('marker');
  });

  it('runs nothing that its table does not name, whatever a message asks for', async () => {
    await using layer = await openLayer('memory:consumer-table');
    const warned: unknown[] = [];
    const log = { error: () => undefined, warn: (_: string, fields?: Record<string, unknown>) => void warned.push(fields?.['type']) };
    await using connection = await connectTo(router({ '/chat/:room': Chat }), { path: '/chat/1', layer, log });
    for (const type of ['close', 'onChat', '__proto__', 'constructor', '_private', 'websocket.disconnect']) await layer.groupSend('chat.1', { type });
    await layer.groupSend('chat.1', { type: 'chat.message', text: 'marker' });
    expect(await connection.receive()).toBe('marker');
    expect(warned).toEqual(['close', 'onChat', '__proto__', 'constructor', '_private', 'websocket.disconnect']);
  });

  it('handles one thing after another, whatever it waits for', async () => {
    const order: string[] = [];
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    class Slow extends Consumer {
      override async receive(message: Data): Promise<void> {
        order.push(`begin ${String(message)}`);
        await gates[Number(message)]?.promise;
        order.push(`end ${String(message)}`);
        await this.send(message);
      }
    }
    await using connection = await connectTo(Slow);
    connection.send('0');
    connection.send('1');
    gates[1]?.resolve();
    gates[0]?.resolve();
    expect([await connection.receive(), await connection.receive()]).toEqual(['0', '1']);
    expect(order).toEqual(['begin 0', 'end 0', 'begin 1', 'end 1']);
  });

  it('is told once, last, how its socket ended, also after it failed', async () => {
    const told: unknown[] = [];
    class Failing extends Consumer {
      override receive(): void {
        throw new Error('broken');
      }

      override disconnect(code: number, reason: string): void {
        told.push([code, reason]);
      }
    }
    const connection = await connectTo(Failing);
    connection.send('x');
    connection.send('never handled');
    await expect(connection.receive()).rejects.toThrow('closed with 1011');
    await connection.disconnect(1011, '');
    expect(told).toEqual([[1011, '']]);
  });

  it('accepts or refuses by what it throws, by its origin, and refuses where it decides nothing', async () => {
    const throwing = (error: Error): ConsumerClass =>
      class extends Consumer {
        override connect(): Promise<void> {
          throw error;
        }
      };
    class Undecided extends Consumer {
      override async connect(): Promise<void> {}
    }
    class Picky extends Consumer {
      override checkOrigin(origin: string): boolean {
        return origin === 'https://good.example';
      }
    }
    await using accepting = await connectTo(
      class extends Consumer {
        override connect(): Promise<void> {
          throw new AcceptConnection('v1');
        }

        override receive(message: Data): Promise<void> {
          return this.send(message);
        }
      },
      { subprotocols: ['v1'] },
    );
    expect(accepting).toMatchObject({ status: 101, subprotocol: 'v1' });
    accepting.send('goes on');
    expect(await accepting.receive()).toBe('goes on');
    expect(await connectTo(throwing(new RejectConnection(402)))).toMatchObject({ status: 402 });
    expect(await connectTo(throwing(new StopConsumer()))).toMatchObject({ status: 403 });
    expect(await connectTo(throwing(new Error('broken')))).toMatchObject({ status: 500 });
    expect(await connectTo(Undecided)).toMatchObject({ status: 403 });
    expect(await connectTo(Picky, { headers: { origin: 'https://evil.example' } })).toMatchObject({ status: 403 });
    await using good = await connectTo(Picky, { headers: { origin: 'https://good.example' } });
    expect(good.accepted).toBe(true);
  });

  it('speaks JSON where it says so, and closes at anything else', async () => {
    class Adder extends JsonConsumer<{ a: number; b: number }, { sum: number }> {
      override receiveJson({ a, b }: { a: number; b: number }): Promise<void> {
        return this.sendJson({ sum: a + b });
      }
    }
    await using connection = await connectTo(Adder);
    connection.send({ a: 1, b: 2 });
    expect(await connection.receiveJson()).toEqual({ sum: 3 });
    connection.send('{');
    await expect(connection.receive()).rejects.toThrow('closed with 1008');
  });

  it('has its client join a room, and remembers what is to stay with the session', async () => {
    class Room extends Consumer {
      override async connect(): Promise<void> {
        await this.accept();
        await this.socket.rooms.join('news', { last: 10 });
        await this.setState({ seen: 1 });
      }
    }
    await using connection = await connectTo(Room);
    await expect.poll(() => connection.state).toEqual({ seen: 1 });
    expect([...connection.rooms]).toEqual(['news']);
  });
});

describe('stateless handlers', () => {
  it('are given each event of a session, with what was put on it and whose it is', async () => {
    const ended: unknown[] = [];
    const counter = handlers({
      receive: async (socket, message) => {
        const count = ((socket.state as { count: number } | null)?.count ?? 0) + 1;
        await socket.setState({ count });
        await socket.send(`${String(message)} ${count} ${socket.request.user} ${JSON.stringify(socket.request.info)}`);
      },
      disconnect: ({ code, state }) => void ended.push([code, state]),
    });
    const connection = await connectTo(counter, { user: 'ann', info: 7 });
    connection.send('a');
    expect(await connection.receive()).toBe('a 1 ann 7');
    connection.send('b');
    expect(await connection.receive()).toBe('b 2 ann 7');
    await connection.disconnect(1001);
    expect(ended).toEqual([[1001, { count: 2 }]]);
  });
});

describe('a router', () => {
  const routes = router({
    '/': consumer((socket) => socket.send('root')),
    '/api': router({
      '/chat/:room': consumer((socket) => socket.send(`chat ${socket.params['room']}`)),
      '/files/*': consumer((socket) => socket.send(`rest ${socket.params['rest']}`)),
    }),
    '/:any': consumer((socket) => socket.send(`any ${socket.params['any']}`)),
  });

  it.each([
    ['/', 'root'],
    ['/api/chat/1', 'chat 1'],
    ['/api/files/a/b', 'rest a/b'],
    ['/api/files', 'rest '],
    ['/api', 'any api'],
    ['/x', 'any x'],
  ])('finds the handler of %s, nested ones too', async (path, said) => {
    await using connection = await connectTo(routes, { path });
    expect(await connection.receive()).toBe(said);
  });

  it('is not needed: what stands by itself has the parameters of the gateway’s route, `rest` too', async () => {
    const alone = consumer((socket) => socket.send(JSON.stringify(socket.params)));
    await using connection = await connectTo(alone, { path: '/files/a/b', params: { rest: 'a/b' } });
    expect(await connection.receive()).toBe('{"rest":"a/b"}');
  });

  it('refuses what stands nowhere with 404, and to be made of what can handle nothing', async () => {
    expect(await connectTo(routes, { path: '/api/chat' })).toMatchObject({ accepted: false, status: 404 });
    expect(() => router({ chat: echo })).toThrow('must begin with a slash');
    expect(() => router({ '/chat': {} as never })).toThrow('at /chat stands neither');
    expect(() => router({ '/chat': [echo, Chat] })).toThrow('more than one handler');
  });
});
