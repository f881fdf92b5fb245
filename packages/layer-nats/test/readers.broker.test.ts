import { once } from 'node:events';
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { openLayer } from '@busgate/layer';
import { connect } from 'nats';
import { expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';

/** A line to a server that can be made to keep back what a client says to it. */
class Line implements Disposable {
  readonly #sockets = new Set<Socket>();
  readonly #clients = new Set<Socket>();
  readonly #server = createServer((client) => {
    const server = connectTcp(this.#port, '127.0.0.1');
    client.pipe(server).pipe(client);
    this.#clients.add(client);
    for (const socket of [client, server]) this.#sockets.add(socket.on('error', () => undefined));
  });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  async open(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `nats://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  hold(): void {
    for (const client of this.#clients) client.pause();
  }

  release(): void {
    for (const client of this.#clients) client.resume();
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

test('what a reader was handed while the server has not settled what came before stays its own, so that no other gets it out of order', async () => {
  await using nats = await startNats();
  using line = new Line(nats.port);
  await using held = await openLayer(await line.open());
  await using other = await openLayer(nats.url);
  const admin = await connect({ servers: nats.url });
  const manager = await admin.jetstreamManager();
  const consumer = async (): Promise<readonly number[]> =>
    manager.consumers.info('BUSGATE_QUEUE', 'q_d29yaw').then(({ num_waiting, num_ack_pending }) => [num_waiting, num_ack_pending], () => []); // prettier-ignore
  const mine = Array.from({ length: 6 }, () => held.receive('work'));
  await other.send('work', { n: 0 });
  expect(await mine.shift()).toEqual({ n: 0 });
  await expect.poll(consumer).toEqual([1, 0]);
  line.hold();
  for (let n = 1; n <= 5; n += 1) await other.send('work', { n });
  await expect.poll(async () => (await consumer())[1]).toBe(5);
  const theirs = other.receive('work');
  await other.send('work', { n: 6 });
  expect(await theirs).toEqual({ n: 6 });
  const last = other.receive('work');
  // So long is the server slow.
  await delay(300);
  line.release();
  expect(await Promise.race([Promise.all(mine), last])).toEqual([1, 2, 3, 4, 5].map((n) => ({ n })));
  await other.send('work', { n: 7 });
  expect(await last).toEqual({ n: 7 });
  await admin.close();
});
