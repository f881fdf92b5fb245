import { openLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { EventCounters } from '../src/routes/events/counters.ts';
import { WorkerWatch } from '../src/routes/events/worker-watch.ts';
import { OwnWorkers } from '../src/routes/events/workers.ts';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { TestWorker, type WorkerEvent } from './support/worker.ts';

const SILENT = { dropped: 0, debug() {}, info() {}, warn() {}, error() {} };

/** A gateway with the event route `/app`, a worker of the route's queue and one with a queue of its own, and a client that the latter has. */
async function affine(
  settings = '',
): Promise<
  { gateway: TestGateway; shared: TestWorker; own: TestWorker; client: Client; connect: WorkerEvent; counters: Readonly<EventCounters> } & AsyncDisposable
> {
  const gateway = await TestGateway.start(['--layer', 'redis://unused', '--routes', `[{path: /app, kind: events, queue: app${settings}}]`]);
  const shared = new TestWorker(gateway.layer, 'app');
  const own = new TestWorker(gateway.layer, 'app.w.1');
  const connecting = Client.open(gateway.ws('/app'));
  const connect = await shared.accept({ queue: 'app.w.1', window: 3 });
  const client = await connecting;
  return {
    gateway,
    shared,
    own,
    client,
    connect,
    counters: gateway.gateway.events[0] ?? new EventCounters(),
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await shared[Symbol.asyncDispose]();
      await own[Symbol.asyncDispose]();
      await gateway[Symbol.asyncDispose]();
    },
  };
}

describe('a worker with a queue of its own', () => {
  test('is given the further events, as many at once as its window says, and the end', async () => {
    await using stage = await affine();
    const { own, shared, client, connect } = stage;
    for (const text of ['a', 'b', 'c', 'd']) client.send(text);
    expect([await own.next(), await own.next(), await own.next()]).toMatchObject([
      { order: 1, text: 'a', lease: 1 },
      { order: 2, text: 'b' },
      { order: 3, text: 'c' },
    ]);
    await own.reply(connect, { type: 'websocket.send', text: 'marker', lease: 1 });
    await client.until(() => client.received.length === 1);
    expect(own.events.length).toBe(3);
    await own.reply(connect, { replies: [{ done: 1 }, { done: 2 }, { done: 3 }] });
    expect(await own.next()).toMatchObject({ order: 4, text: 'd' });
    await own.reply(connect, { done: 4 });
    client.socket.close(1000);
    expect(await own.next()).toMatchObject({ type: 'websocket.disconnect', order: 5, code: 1000 });
    expect(shared.events.length).toBe(1);
  });

  test('is told the end in time, also while it says that it is still at an event', async () => {
    await using stage = await affine(', handler_timeout: 1s');
    const { own, client } = stage;
    client.send('a');
    const event = await own.next();
    client.socket.close(1000);
    const saying = setInterval(() => void own.reply(event, { type: 'working', order: event.order, lease: 1 }), 50);
    try {
      expect(await own.next()).toMatchObject({ type: 'websocket.disconnect', order: 2, code: 1000 });
    } finally {
      clearInterval(saying);
    }
  });

  test('gives the session back: another one has it with its state, and nothing that was not handled is lost or changes its place', async () => {
    await using stage = await affine();
    const { own, shared, client, connect } = stage;
    for (const text of ['a', 'b', 'c', 'd']) client.send(text);
    await own.next();
    await own.next();
    await own.next();
    await own.reply(connect, { lease: 1, done: 1, state: { seen: 'a' } });
    await own.reply(connect, { lease: 1, type: 'websocket.release' });
    const again = await shared.next();
    expect(again).toMatchObject({ type: 'websocket.connect', session: connect.session, lease: 2, resumed: true, state: { seen: 'a' } });
    expect(again['undone']).toBeUndefined();
    await shared.reply(again, { type: 'websocket.accept', lease: 2, done: again.order });
    for (const [index, text] of ['b', 'c', 'd'].entries()) {
      const event = await shared.next();
      expect(event).toMatchObject({ type: 'websocket.receive', order: again.order + 1 + index, lease: 2, text });
      await shared.reply(again, { done: event.order, lease: 2 });
    }
    client.send('e');
    expect(await shared.next()).toMatchObject({ order: again.order + 4, text: 'e' });
    expect(client.closeCode).toBeUndefined();
    const { counters } = stage;
    expect(counters).toMatchObject({ failed: 0, undone: { returned: counters.undone.returned, lost: 0, timeout: 0 } });
    await until(() => counters.due === counters.queued, 'nothing is being queued');
    // What is in flight: the last message.
    expect(counters.queued).toBe(counters.handled + counters.undone.returned + 1);
  });

  test('that was never given an event, since its broker lost it, leaves it to nobody: the next one is told so, and the order stays', async () => {
    await using stage = await affine();
    const { own, shared, client, connect } = stage;
    for (const text of ['a', 'b', 'c']) client.send(text);
    await own.next();
    await own.next();
    await own.next();
    await own.reply(connect, { lease: 1, done: 2 });
    await own.reply(connect, { lease: 1, type: 'websocket.release' });
    const again = await shared.next();
    expect(again).toMatchObject({ type: 'websocket.connect', lease: 2, resumed: true, undone: 1 });
    await shared.reply(again, { type: 'websocket.accept', lease: 2, done: again.order });
    expect(await shared.next()).toMatchObject({ type: 'websocket.receive', order: again.order + 1, text: 'c' });
    expect(client.closeCode).toBeUndefined();
  });

  test.each([
    [403, 1008],
    [503, 1011],
  ])('gives its session back to one that refuses it with %d: the client, which is open, is closed with %d', async (status, code) => {
    await using stage = await affine();
    const { own, shared, client, connect, gateway } = stage;
    await own.reply(connect, { lease: 1, type: 'websocket.release' });
    const again = await shared.next();
    await shared.reply(again, { type: 'websocket.http.response.start', status });
    await shared.reply(again, { type: 'websocket.http.response.body', text: 'no', done: again.order });
    expect(await client.closed()).toBe(code);
    expect(await shared.next()).toMatchObject({ type: 'websocket.disconnect', code, order: again.order + 1 });
    expect(gateway.gateway.events[0]?.refused.not_allowed).toBe(0);
  });

  test('that no longer has the session cannot speak for it', async () => {
    await using stage = await affine();
    const { own, shared, client, connect, gateway } = stage;
    await own.reply(connect, { lease: 1, type: 'websocket.release' });
    const again = await shared.accept();
    expect(again).toMatchObject({ lease: 2, resumed: true });
    await own.reply(connect, { lease: 1, type: 'websocket.send', text: 'from the grave' });
    await own.reply(connect, { lease: 1, type: 'websocket.close' });
    await shared.reply(again, { lease: 2, type: 'websocket.send', text: 'marker' });
    await client.until(() => client.received.length === 1);
    expect(client.received).toEqual(['marker']);
    expect(gateway.gateway.events[0]?.stale).toBe(2);
  });

  test('that is about to stop is given nothing more until it gives the session back', async () => {
    await using stage = await affine();
    const { own, shared, client, connect, gateway } = stage;
    await gateway.layer.publish('_worker.app.w.1', '{"state":"stopping"}');
    client.send('a');
    await own.reply(connect, { lease: 1, type: 'websocket.send', text: 'marker' });
    await client.until(() => client.received.length === 1);
    await own.reply(connect, { lease: 1, type: 'websocket.release' });
    await shared.accept();
    expect(await shared.next()).toMatchObject({ order: 2, text: 'a' });
    expect(own.events.length).toBe(0);
  });

  test('whose session nobody takes over in time: the client is told to come back', async () => {
    await using stage = await affine(', resume_timeout: 100ms');
    const { own, shared, client, connect } = stage;
    await own.reply(connect, { lease: 1, type: 'websocket.release' });
    expect(await shared.next()).toMatchObject({ resumed: true });
    expect(await client.closed()).toBe(1012);
    // The worker that had it last may live: it is the one to take leave.
    expect(await shared.next()).toMatchObject({ type: 'websocket.disconnect', code: 1012, own_queue: 'app.w.1' });
  });

  test("whose client leaves while another one is asked: the end is the new one's", async () => {
    await using stage = await affine();
    const { own, shared, client, connect } = stage;
    await own.reply(connect, { lease: 1, type: 'websocket.release' });
    const again = await shared.next();
    client.socket.close(1000);
    await client.closed();
    await shared.reply(again, { type: 'websocket.accept', lease: 2, done: again.order });
    const end = await shared.next();
    expect(end).toMatchObject({ type: 'websocket.disconnect', code: 1000, lease: 2 });
    expect(end['own_queue']).toBeUndefined();
  });

  test('that refuses to take a session over ends it with its code, and there is one end', async () => {
    await using stage = await affine();
    const { own, shared, client, connect } = stage;
    await own.reply(connect, { lease: 1, type: 'websocket.release' });
    const again = await shared.next();
    await shared.reply(again, { type: 'websocket.close', code: 4005, lease: 2, done: again.order });
    expect(await client.closed()).toBe(4005);
    expect(await shared.next()).toMatchObject({ type: 'websocket.disconnect', code: 4005, lease: 2 });
  });
});

describe('what a worker that has gone did not read', () => {
  /** One session of a worker with a queue of its own, whose end was queued for it; `looks` looks at the worker so often. */
  async function left() {
    const bus = `memory:${crypto.randomUUID()}`;
    const [layer, other] = await Promise.all([openLayer(bus), openLayer(bus)]);
    const workers = new OwnWorkers(layer, SILENT, 1000);
    const charge = { workerStops() {}, workerLost() {} };
    workers.join('app.w.1', charge, 'app');
    let heard = 0;
    await layer.subscribe('_worker.app.w.1', () => void (heard += 1));
    await other.send('app.w.1', { type: 'websocket.receive', id: 's:1', session: 's' });
    await other.send('app.w.1', { type: 'websocket.disconnect', id: 's:2', session: 's', order: 2, code: 1001 });
    workers.leave('app.w.1', charge, true);
    return {
      workers,
      charge,
      other,
      async say(state: string): Promise<void> {
        const before = heard;
        await other.publish('_worker.app.w.1', JSON.stringify({ state }));
        await until(() => heard > before, 'it is heard');
      },
      looks(times: number): void {
        for (let count = 0; count < times; count += 1) workers.look();
      },
      async [Symbol.asyncDispose]() {
        await Promise.all([layer.close(), other.close()]);
      },
    };
  }

  test('is an end that one of the others is told, and nothing else', async () => {
    await using stage = await left();
    await using shared = new TestWorker(stage.other, 'app');
    stage.looks(11);
    expect(await shared.next()).toMatchObject({ type: 'websocket.disconnect', id: 's:2', order: 2, code: 1001, own_queue: 'app.w.1' });
    await stage.other.send('app', { marker: true });
    expect(await shared.next()).toEqual({ marker: true });
  });

  test('is told also where the worker said last that it stops', async () => {
    await using stage = await left();
    await using shared = new TestWorker(stage.other, 'app');
    await stage.say('stopping');
    stage.looks(11);
    expect(await shared.next()).toMatchObject({ type: 'websocket.disconnect', own_queue: 'app.w.1' });
  });

  test('is told also where a word that it works had been said before, and was on its way', async () => {
    await using stage = await left();
    await using shared = new TestWorker(stage.other, 'app');
    for (const word of ['working', 'working', 'working']) await stage.say(word);
    stage.looks(11);
    expect(await shared.next()).toMatchObject({ type: 'websocket.disconnect', own_queue: 'app.w.1' });
  });

  test('is told also where it said that it works, and died before it read', async () => {
    await using stage = await left();
    await using shared = new TestWorker(stage.other, 'app');
    stage.looks(2);
    await stage.say('working');
    stage.looks(11);
    expect(await shared.next()).toMatchObject({ type: 'websocket.disconnect', own_queue: 'app.w.1' });
  });

  test('stays in its queue where the worker says again that it works', async () => {
    await using stage = await left();
    stage.looks(2);
    await stage.say('working');
    stage.looks(2);
    await stage.say('working');
    stage.looks(11);
    await using own = new TestWorker(stage.other, 'app.w.1');
    expect([await own.next(), await own.next()]).toMatchObject([{ id: 's:1' }, { id: 's:2' }]);
  });

  test('is looked for no longer once the worker, which had only stood still, takes sessions again', async () => {
    await using stage = await left();
    await using shared = new TestWorker(stage.other, 'app');
    stage.looks(11);
    await shared.next();
    stage.workers.join('app.w.1', stage.charge, 'app');
    await using own = new TestWorker(stage.other, 'app.w.1');
    await stage.other.send('app.w.1', { type: 'websocket.receive', id: 't:1', session: 't' });
    await stage.other.send('app.w.1', { type: 'websocket.receive', id: 't:2', session: 't' });
    expect([await own.next(), await own.next()]).toMatchObject([{ id: 't:1' }, { id: 't:2' }]);
  });
});

describe('a worker that has sessions', () => {
  const READY = { close: () => Promise.resolve() };

  /** Workers on a bus whose subscriptions are in effect when `subscribed` is settled; `lost` are the sessions whose worker was taken for dead. */
  async function watched(subscribed: () => Promise<typeof READY>) {
    const layer = await openLayer(`memory:${crypto.randomUUID()}`);
    const lost: string[] = [];
    const calls = { status: layer.status, listen: layer.listen.bind(layer), send: layer.send.bind(layer) };
    const workers = new OwnWorkers({ ...calls, subscribe: subscribed }, SILENT, 1000);
    return {
      lost,
      join: (session: string) => workers.join('app.w.1', { workerStops() {}, workerLost: () => void lost.push(session) }, 'app'),
      looks(times: number): void {
        for (let count = 0; count < times; count += 1) workers.look();
      },
      [Symbol.asyncDispose]: () => layer.close(),
    };
  }

  test('is not judged before it can be heard, however long that takes', async () => {
    const { promise, resolve } = Promise.withResolvers<typeof READY>();
    await using stage = await watched(() => promise);
    stage.join('one');
    stage.looks(30);
    expect(stage.lost).toEqual([]);
    resolve(READY);
    await promise;
    stage.looks(10);
    expect(stage.lost).toEqual([]);
    stage.looks(1);
    expect(stage.lost).toEqual(['one']);
  });

  test('is listened to again where that failed, and not judged meanwhile', async () => {
    let attempts = 0;
    await using stage = await watched(() => ((attempts += 1) <= 20 ? Promise.reject(new Error('not now')) : Promise.resolve(READY)));
    stage.join('one');
    for (let look = 0; look < 30; look += 1) {
      stage.looks(1);
      await new Promise(setImmediate);
    }
    expect([attempts, stage.lost]).toEqual([21, []]);
  });

  test('is heard when it accepts one more', async () => {
    await using stage = await watched(() => Promise.resolve(READY));
    stage.join('one');
    await new Promise(setImmediate);
    stage.looks(10);
    stage.join('two');
    stage.looks(10);
    expect(stage.lost).toEqual([]);
    stage.looks(1);
    expect(stage.lost).toEqual(['one', 'two']);
  });
});

describe('the silence of a worker', () => {
  const stage = (lookMs = 1000) => {
    const silent: string[] = [];
    const watch = new WorkerWatch(lookMs, (queue) => void silent.push(queue));
    const looks = (times: number): void => {
      for (let count = 0; count < times; count += 1) watch.look();
    };
    return { silent, watch, looks };
  };

  test('is its death after 10 s of looks, and told once', () => {
    const { silent, watch, looks } = stage();
    watch.add('a');
    watch.add('b');
    looks(5);
    watch.heard('b');
    looks(5);
    expect(silent).toEqual([]);
    looks(1);
    expect(silent).toEqual(['a']);
    looks(5);
    expect([silent, watch.size]).toEqual([['a', 'b'], 0]);
  });

  test('does not count while nobody could be heard, however long that is', () => {
    const { silent, watch, looks } = stage(500);
    watch.add('a');
    looks(20);
    watch.begin();
    looks(20);
    expect(silent).toEqual([]);
    looks(1);
    expect(silent).toEqual(['a']);
  });
});
