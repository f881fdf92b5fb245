import { connectTo, Consumer, consumer, demultiplex, JsonConsumer, RejectConnection, type Data } from '@busgate/consumer';
import { openLayer, type Message } from '@busgate/layer';
import { describe, expect, it } from 'vitest';

describe('several consumers on one socket', () => {
  class Counter extends JsonConsumer<{ add: number }, { count: number }> {
    override async receiveJson({ add }: { add: number }): Promise<void> {
      const count = ((this.state as number | null) ?? 0) + add;
      await this.setState(count);
      await this.sendJson({ count });
    }
  }
  class Talk extends Consumer {
    static override handlers = { said: 'onSaid' };
    static override groups = ['talk'];

    override async receive(message: Data): Promise<void> {
      await this.groups.send('talk', { type: 'said', text: message });
    }

    async onSaid(event: Message): Promise<void> {
      await this.send({ said: JSON.parse(event['text'] as string) as unknown });
    }
  }
  const parrot = consumer(async (socket) => {
    await socket.send({ hello: socket.params['name'] });
    for await (const message of socket) await socket.send(message);
  });
  const streams = demultiplex({ counter: Counter, talk: Talk, parrot });

  it('are given the payloads of their streams, and answer in the same envelope', async () => {
    await using layer = await openLayer('memory:streams');
    await using one = await connectTo(streams, { layer, params: { name: 'ann' } });
    await using two = await connectTo(streams, { layer });
    expect(one).toMatchObject({ accepted: true });
    expect(await one.receiveJson()).toEqual({ stream: 'parrot', payload: { hello: 'ann' } });
    expect(await two.receiveJson()).toEqual({ stream: 'parrot', payload: {} });
    one.send({ stream: 'counter', payload: { add: 2 } });
    expect(await one.receiveJson()).toEqual({ stream: 'counter', payload: { count: 2 } });
    one.send({ stream: 'counter', payload: { add: 3 } });
    expect(await one.receiveJson()).toEqual({ stream: 'counter', payload: { count: 5 } });
    expect(one.state).toEqual({ counter: 5 });
    one.send({ stream: 'talk', payload: 'hi' });
    for (const each of [one, two]) expect(await each.receiveJson()).toEqual({ stream: 'talk', payload: { said: 'hi' } });
    one.send({ stream: 'parrot', payload: [1, null] });
    expect(await one.receiveJson()).toEqual({ stream: 'parrot', payload: [1, null] });
  });

  it.each(['no JSON', '[]', '{"stream":"none","payload":1}', '{"stream":"counter"}', '{"stream":"__proto__","payload":1}', new Uint8Array([1])])(
    'close at what is no frame of theirs: %s',
    async (message) => {
      await using connection = await connectTo(streams);
      await connection.receive();
      connection.send(message);
      await expect(connection.receive()).rejects.toThrow('closed with 1008');
    },
  );

  it('are refused together, and closed together', async () => {
    const refusing = consumer(() => {
      throw new RejectConnection(402);
    });
    expect(await connectTo(demultiplex({ talk: Talk, refusing }))).toMatchObject({ accepted: false, status: 402 });
    await using connection = await connectTo(demultiplex({ talk: Talk, once: consumer((socket) => socket.send({ bye: true })) }));
    expect(await connection.receiveJson()).toEqual({ stream: 'once', payload: { bye: true } });
    await expect(connection.receive()).rejects.toThrow('closed with 1000');
    expect(() => demultiplex({})).toThrow('one consumer at least');
  });

  it('can send nothing but JSON', async () => {
    const logged: unknown[] = [];
    const log = { warn: () => undefined, error: (_: string, fields?: Record<string, unknown>) => void logged.push(fields?.['error']) };
    await using connection = await connectTo(demultiplex({ a: consumer((socket) => socket.send('not JSON')) }), { log });
    await expect(connection.receive()).rejects.toThrow('closed with 1011');
    expect(logged).toEqual([expect.stringContaining('must be JSON') as string]);
  });
});
