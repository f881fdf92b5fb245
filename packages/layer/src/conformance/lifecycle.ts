import assert from 'node:assert/strict';
import { getActiveResourcesInfo } from 'node:process';
import { isLayerError } from '../errors.ts';
import type { ChannelLayer } from '../layer.ts';
import { next, record, rejects, soon, until } from './expect.ts';
import type { Family } from './suite.ts';

/** Every operation, as it is called on a layer whose channel this is. */
const OPERATIONS: Readonly<Record<string, (layer: ChannelLayer, channel: string) => Promise<unknown>>> = {
  newChannel: async (layer) => layer.newChannel(),
  'send to its own channel': (layer, channel) => layer.send(channel, { a: 1 }),
  'send to a worker queue': (layer) => layer.send('work', { a: 1 }),
  'receive from its own channel': async (layer, channel) => {
    await layer.send(channel, { a: 1 });
    return layer.receive(channel);
  },
  'receive from a worker queue': async (layer) => {
    await layer.send('read', { a: 1 });
    return layer.receive('read');
  },
  'groupAdd of a channel': (layer, channel) => layer.groupAdd('group', channel),
  'groupAdd of a worker queue': (layer) => layer.groupAdd('group', 'work'),
  'groupDiscard of a channel': (layer, channel) => layer.groupDiscard('group', channel),
  'groupDiscard of a worker queue': (layer) => layer.groupDiscard('group', 'work'),
  groupSend: (layer) => layer.groupSend('group', { a: 1 }),
  subscribe: (layer) => layer.subscribe('room', () => undefined),
  'subscribe with since': (layer) => layer.subscribe('kept', () => undefined, { since: 'e:1' }),
  publish: (layer) => layer.publish('room', 'x'),
  'publish to a room with history': (layer) => layer.publish('kept', 'x'),
  'purge a history': (layer) => layer.purge('kept'),
  closeChannel: (layer, channel) => layer.closeChannel(channel),
  flush: (layer) => layer.flush(),
};
const OPTIONS = { history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] } as const;

export const lifecycle: Family = {
  title: 'lifecycle',
  tests: {
    'open: status is connected since a moment ago, and every operation works or is UNSUPPORTED': async (stage) => {
      const before = Date.now();
      const layer = await stage.open(OPTIONS);
      assert.equal(layer.status.state, 'connected');
      assert.ok(layer.status.since.getTime() >= before - 1 && layer.status.since.getTime() <= Date.now() + 1);
      const channel = layer.newChannel();
      for (const [name, operation] of Object.entries(OPERATIONS)) {
        await soon(operation(layer, channel), name).catch((error: unknown) => {
          assert.ok(isLayerError(error, 'UNSUPPORTED'), `${name}: ${String(error)}`);
        });
      }
    },

    'closing: every operation that begins then is LAYER_CLOSED': async (stage) => {
      for (const operation of Object.values(OPERATIONS)) {
        const layer = await stage.open(OPTIONS);
        const channel = layer.newChannel();
        const closing = layer.close();
        await rejects(operation(layer, channel), 'LAYER_CLOSED');
        await soon(closing, 'close');
      }
    },

    'closed: every operation is LAYER_CLOSED, and status says so': async (stage) => {
      const layer = await stage.open(OPTIONS);
      const channel = layer.newChannel();
      const opened = layer.status.since;
      await layer.close();
      assert.equal(layer.status.state, 'closed');
      assert.ok(layer.status.since >= opened);
      for (const operation of Object.values(OPERATIONS)) await rejects(operation(layer, channel), 'LAYER_CLOSED');
      await rejects(layer.receive(channel), 'LAYER_CLOSED');
      await rejects(layer.receive('work'), 'LAYER_CLOSED');
    },

    'operations under way when close is called all end, as they should or with a code': async (stage) => {
      for (const [name, operation] of Object.entries(OPERATIONS)) {
        const layer = await stage.open(OPTIONS);
        const running = operation(layer, layer.newChannel()).catch((error: unknown) => {
          assert.ok(isLayerError(error), `${name}: ${String(error)}`);
        });
        await soon(layer.close(), `close during ${name}`);
        await soon(running, name);
      }
    },

    'close ends waiting receives with LAYER_CLOSED': async (stage) => {
      const layer = await stage.open();
      const receives = [layer.receive(layer.newChannel()), ...(layer.capabilities.queues ? [layer.receive('work')] : [])];
      const ended = receives.map((receiving) => rejects(receiving, 'LAYER_CLOSED'));
      await layer.close();
      await Promise.all(ended);
    },

    'close twice, at once and later, is no error: each resolves when all is let go': async (stage) => {
      const layer = await stage.open();
      await layer.subscribe('room', () => undefined);
      await soon(Promise.all([layer.close(), layer.close()]), 'close');
      await layer.close();
    },

    'a subscription of a closed layer is quiet, and closing it is no error': async (stage) => {
      const [here, there] = await stage.openTwo();
      const watching = await record(there, 'room');
      const seen: unknown[] = [];
      const subscription = await here.subscribe('room', (event) => seen.push(event));
      await here.close();
      await there.publish('room', 'after');
      await watching.seen('after');
      await subscription.close();
      assert.deepEqual(seen, []);
    },

    'open, use and close in 30 cycles works each time and leaves no connection': async (stage) => {
      const held = (): number => getActiveResourcesInfo().filter((kind) => kind !== 'Timeout' && kind !== 'Immediate').length;
      await (await stage.open()).close();
      const before = held();
      for (let cycle = 0; cycle < 30; cycle += 1) {
        const layer = await stage.open();
        const recorder = await record(layer, 'room');
        await layer.publish('room', `${cycle}`);
        await recorder.seen(`${cycle}`);
        const channel = layer.newChannel();
        await layer.send(channel, { cycle });
        assert.deepEqual(await next(layer, channel), { cycle });
        await layer.close();
      }
      await until(() => held() <= before, `no more than ${before} resources are held`);
    },
  },
};
