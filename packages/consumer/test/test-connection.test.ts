import { connectTo, Consumer, consumer, router, type SocketRequest } from '@busgate/consumer';
import { openLayer } from '@busgate/layer';
import { describe, expect, it } from 'vitest';

describe('the test connection', () => {
  it('receives what is published to rooms that its consumer joined, and what groups of sessions are sent', async () => {
    await using layer = await openLayer('memory:test-rooms');
    const member = consumer(async (socket) => {
      await socket.rooms.join('news');
      await socket.groups.add('all');
      await socket.send('ready');
      await socket.receive();
      await socket.rooms.leave('news');
      await socket.groups.send('all', { type: 'websocket.send', text: 'to all' });
      await socket.receive();
    });
    await using connection = await connectTo(member, { layer });
    expect(await connection.receive()).toBe('ready');
    await layer.publish('news', 'published');
    expect(await connection.receive()).toBe('published');
    connection.send('go on');
    expect(await connection.receive()).toBe('to all');
    await layer.publish('news', 'unheard');
    expect(await connection.receiveNothing()).toBe(true);
    connection.send('end');
    await connection.ended;
    expect(connection.closeCode).toBe(1000);
  });

  it('says what was agreed on', async () => {
    let chosen: string | undefined;
    class Choosing extends Consumer {
      static override groups = (_: SocketRequest, params: Readonly<Record<string, string>>): string[] => [`room.${params['room']}`];

      override selectSubprotocol(offered: readonly string[]): string | undefined {
        return offered.find((name) => name === 'v2');
      }

      override async connect(): Promise<void> {
        await this.accept();
        chosen = this.socket.subprotocol;
      }
    }
    await using connection = await connectTo(router({ '/:room': Choosing }), { path: '/a', subprotocols: ['v1', 'v2'] });
    await connection.receiveNothing({ within: 0 });
    expect([connection.subprotocol, chosen]).toEqual(['v2', 'v2']);
  });
});
