import { openLayer } from '@busgate/layer';
import { describe, expect, test, vi } from 'vitest';
import { loadConfig } from '../src/config.ts';
import { Gateway } from '../src/gateway.ts';
import { Client } from './support/client.ts';
import { TestWorker } from './support/worker.ts';

const SILENT = { dropped: 0, debug() {}, info() {}, warn() {}, error() {} };

describe('what workers are told of sessions whose gateway is gone', () => {
  test('is one end for each, with the state it had, and not before its connect', async () => {
    const bus = `memory:${crypto.randomUUID()}`;
    await using layer = await openLayer(bus);
    await using other = await openLayer(bus);
    const argv = ['--layer', 'redis://unused', '--port', '0', '--ops-port', '0', '--host', '127.0.0.1', '--routes', '[{path: /app, kind: events, queue: app}]'];
    const config = loadConfig({ argv, env: {}, readFile: () => '', descriptors: 20_000 });
    const gateway = await Gateway.start({ config, log: SILENT, version: 'test', layer });
    await using worker = new TestWorker(other, 'app');
    const connecting = Client.open(`ws://127.0.0.1:${gateway.listening.port}/app`);
    const connect = await worker.accept({ state: { name: 'ann' } });
    await using client = await connecting;
    client.send('x');
    const message = await worker.next();
    expect(message).toMatchObject({ text: 'x', state: { name: 'ann' } });
    // The message is never done: the end cannot wait for that, since nobody of this gateway is left to hear it.
    await gateway.close();
    expect(await worker.next()).toMatchObject({
      type: 'websocket.disconnect',
      id: `${connect.session}:disconnect`,
      session: connect.session,
      order: null,
      code: 1006,
      state: { name: 'ann' },
    });
    await other.send('app', { marker: true });
    expect(await worker.next()).toEqual({ marker: true });
  });

  test('is said also by a gateway that has no session: it holds a lease as long as it runs', async () => {
    await using layer = await openLayer(`memory:${crypto.randomUUID()}`);
    const granted = vi.spyOn(layer, 'lease');
    const argv = ['--layer', 'redis://unused', '--port', '0', '--ops-port', '0', '--host', '127.0.0.1', '--routes', '[{path: /app, kind: events, queue: app}]'];
    const config = loadConfig({ argv, env: {}, readFile: () => '', descriptors: 20_000 });
    const gateway = await Gateway.start({ config, log: SILENT, version: 'test', layer });
    await vi.waitFor(() => expect(granted).toHaveBeenCalledOnce(), 10_000);
    await gateway.close();
    expect((await granted.mock.results[0]?.value)?.lost.aborted).toBe(false);
  });
});
