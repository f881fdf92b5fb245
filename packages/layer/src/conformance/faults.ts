import assert from 'node:assert/strict';
import { isLayerError } from '../errors.ts';
import type { ChannelLayer } from '../layer.ts';
import { parsePosition } from '../position.ts';
import { cutOff, type Reachable } from './cut-off.ts';
import { next, record, rejects, soon, take, until } from './expect.ts';
import { leaseFaultTests } from './lease-faults.ts';
import type { Runner, Subject } from './subject.ts';
import { bytesUnderWay } from './under-way.ts';
import { runFamilies, type Family } from './suite.ts';

/** A broker that can be stopped and started again at the same address; both resolve when it is so, and are no error where it is so already. */
export interface Broker {
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** A layer whose broker can go away. Without `reachable`, what one process misses while others go on is not tested. */
export interface FaultSubject extends Subject {
  readonly broker: Broker;
  readonly reachable?: Reachable;
}

/**
 * Defines the tests of a broker that goes away and comes back, with what it stored or without. The broker should serve this suite alone.
 * Not for a layer whose broker cannot go away.
 */
export function layerFaultConformance(runner: Runner, subject: FaultSubject): void {
  const { broker, reachable } = subject;
  const whole: Runner = {
    describe: runner.describe,
    test: (title, body) =>
      runner.test(title, async () => {
        await broker.start();
        try {
          await body();
        } finally {
          await broker.start();
        }
      }),
  };
  const all = [...families(broker), ...(reachable === undefined ? [] : [cutOff(reachable), bytesUnderWay(reachable)])];
  runner.describe(`layer conformance while the broker is away: ${subject.name}`, () => runFamilies(whole, subject, all));
}

/** The operations that need the broker. */
const OPERATIONS: readonly ((layer: ChannelLayer, channel: string) => Promise<unknown>)[] = [
  (layer) => layer.publish('room', 'while away'),
  (layer) => layer.subscribe('another', () => undefined),
  (layer) => layer.send('specific.elsewhere!1', { a: 1 }),
  (layer) => layer.send('work', { away: true }),
  (layer, channel) => layer.groupAdd('group', channel),
  (layer, channel) => layer.groupDiscard('group', channel),
  (layer) => layer.groupSend('group', { away: true }),
  (layer) => layer.flush(),
];

function families(broker: Broker): Family[] {
  const leave = async (...layers: ChannelLayer[]): Promise<void> => {
    await broker.stop();
    await until(() => layers.every((layer) => layer.status.state === 'away'), 'status away');
  };
  const comeBack = async (...layers: ChannelLayer[]): Promise<void> => {
    await broker.start();
    await until(() => layers.every((layer) => layer.status.state === 'connected'), 'status connected');
  };

  const calls: Family['tests'] = {
    'status says away and since when, and connected on return': async (stage) => {
      const layer = await stage.open();
      const before = Date.now();
      await leave(layer);
      assert.ok(layer.status.since.getTime() >= before - 1);
      const away = layer.status.since;
      await comeBack(layer);
      assert.ok(layer.status.since >= away);
    },

    'a fault is counted by its kind, told in the status and logged': async (stage) => {
      const told: string[] = [];
      const error = (message: string, fields?: Record<string, unknown>): void => void told.push(`${message} ${String(fields?.['kind'])}`);
      const layer = await stage.open({ logger: { info() {}, warn() {}, error } });
      const { faults } = layer.stats;
      assert.deepEqual(new Set(Object.values(faults)), new Set([0]));
      assert.equal(layer.status.reason, undefined);
      for (const round of [1, 2]) {
        await leave(layer);
        assert.ok(layer.status.reason);
        await until(() => faults.connection_lost === round && faults.unreachable === round, 'the fault is counted');
        assert.match(layer.status.reason, /^unreachable: /);
        await comeBack(layer);
        assert.deepEqual([faults.connection_lost, faults.unreachable], [round, round]);
      }
      for (const kind of ['connection_lost', 'unreachable']) assert.ok(told.includes(`a fault of the broker ${kind}`));
    },

    'calls reject with LAYER_AWAY at once, and nothing is held for later': async (stage) => {
      const [here, there] = await stage.openTwo();
      const [mine, other] = [await record(here, 'room'), await record(there, 'room')];
      const channel = here.newChannel();
      await leave(here, there);
      for (const operation of OPERATIONS) await rejects(operation(here, channel), 'LAYER_AWAY');
      await comeBack(here, there);
      await there.publish('room', 'after');
      await Promise.all([mine.seen('after'), other.seen('after')]);
      assert.deepEqual(
        [mine.texts, other.texts],
        [
          ['GAP', 'after'],
          ['GAP', 'after'],
        ],
      );
      if (!here.capabilities.queues) return;
      await there.send('work', { after: true });
      assert.deepEqual(await next(here, 'work'), { after: true });
    },

    'openLayer resolves while the broker is away, and the layer works once it is there': async (stage) => {
      await broker.stop();
      const layer = await soon(stage.open(), 'openLayer');
      assert.equal(layer.status.state, 'away');
      const channel = layer.newChannel();
      const received = next(layer, channel);
      await rejects(layer.publish('room', 'x'), 'LAYER_AWAY');
      await comeBack(layer);
      const other = await stage.open();
      const recorder = await record(layer, 'room');
      await other.publish('room', 'hello');
      await recorder.seen('hello');
      await reachable(other, channel);
      assert.deepEqual(await received, { hello: true });
    },

    'close while the broker is away ends waiting receives and resolves': async (stage) => {
      const layer = await stage.open();
      const channel = layer.newChannel();
      await layer.subscribe('room', () => undefined);
      await leave(layer);
      const ended = rejects(layer.receive(channel), 'LAYER_CLOSED');
      await soon(layer.close(), 'close');
      await ended;
      await broker.start();
    },

    'a call whose answer was lost is OUTCOME_UNKNOWN, one that was not sent LAYER_AWAY, and none is doubled': async (stage) => {
      const [here, there] = await stage.openTwo();
      const recorder = await record(there, 'room');
      const failed: unknown[] = [];
      const publishing: Promise<unknown>[] = [];
      let stopping: Promise<void> | undefined;
      for (let n = 0; here.status.state === 'connected'; n += 1) {
        publishing.push(here.publish('room', `${n}`).catch((error: unknown) => failed.push(error)));
        if (n === 200) stopping = broker.stop();
        if (n % 10 === 9) await new Promise(setImmediate);
      }
      await soon(Promise.all(publishing), 'every publish ends');
      await stopping;
      for (const error of failed) assert.ok(isLayerError(error, 'OUTCOME_UNKNOWN') || isLayerError(error, 'LAYER_AWAY'), String(error));
      await comeBack(here, there);
      await here.publish('room', 'after');
      await recorder.seen('after');
      const numbers = recorder.texts.filter((line) => line !== 'GAP' && line !== 'after').map(Number);
      assert.deepEqual(
        numbers,
        [...new Set(numbers)].toSorted((a, b) => a - b),
      );
      assert.equal(recorder.gaps, 1);
    },
  };

  const rooms: Family['tests'] = {
    "on return each room's subscribers get exactly one gap, before any later message: never silence": async (stage) => {
      const [here, there] = await stage.openTwo();
      const names = Array.from({ length: 20 }, (_, index) => `room.${index}`);
      const recorders = await Promise.all(names.map((name) => record(there, name)));
      for (const name of names) await here.publish(name, 'before');
      await Promise.all(recorders.map((recorder) => recorder.seen('before')));
      await leave(here, there);
      await comeBack(here, there);
      for (const name of names) await here.publish(name, 'after');
      for (const recorder of recorders) {
        await recorder.seen('after');
        assert.deepEqual(recorder.texts, ['before', 'GAP', 'after']);
      }
    },

    'a second time away is a second gap': async (stage) => {
      const [here, there] = await stage.openTwo();
      const recorder = await record(there, 'room');
      for (const payload of ['1', '2']) {
        await leave(here, there);
        await comeBack(here, there);
        await here.publish('room', payload);
        await recorder.seen(payload);
      }
      assert.deepEqual(recorder.texts, ['GAP', '1', 'GAP', '2']);
    },
  };

  const channels: Family['tests'] = {
    'a waiting receive goes on over a time without broker': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = here.newChannel();
      const received = next(here, channel);
      await leave(here, there);
      await comeBack(here, there);
      await reachable(there, channel);
      assert.deepEqual(await received, { hello: true });
    },
  };

  return [
    { title: 'calls', tests: calls },
    { title: 'rooms', tests: rooms },
    { title: 'channels', tests: channels },
    { title: 'rooms with history', needs: 'history', tests: historyTests(leave, comeBack) },
    { title: 'worker queues', needs: 'queues', tests: queueTests(leave, comeBack) },
    { title: 'groups', needs: 'groups', tests: groupTests(leave, comeBack) },
    { title: 'leases', needs: 'leases', tests: leaseFaultTests(leave, comeBack) },
  ];
}

type Step = (...layers: ChannelLayer[]) => Promise<void>;

function historyTests(leave: Step, comeBack: Step): Family['tests'] {
  return {
    'what the broker kept is repaired without a gap; a broker that lost it starts a new epoch, and that is one gap': async (stage) => {
      const history = [{ rooms: 'kept', size: 100, ageMs: 60_000 }];
      const [here, there] = await stage.openTwo({ history });
      const recorder = await record(there, 'kept');
      const { position } = await here.publish('kept', 'before');
      await recorder.seen('before');
      await leave(here, there);
      await comeBack(here, there);
      const later = await here.publish('kept', 'after');
      await recorder.seen('after');
      const kept = parsePosition(position)?.epoch === parsePosition(later.position)?.epoch;
      assert.deepEqual(recorder.texts, kept ? ['before', 'after'] : ['before', 'GAP', 'after']);
      const again = await there.subscribe('kept', () => undefined, { since: position! });
      assert.equal(again.recovered, kept);
    },
  };
}

function queueTests(leave: Step, comeBack: Step): Family['tests'] {
  return {
    'a waiting receive of a worker queue goes on over a time without broker, and an aborted one ends meanwhile': async (stage) => {
      const [here, there] = await stage.openTwo();
      const received = next(here, 'work');
      const stop = new AbortController();
      const aborted = here.receive('other', { signal: stop.signal });
      await leave(here, there);
      stop.abort(new Error('no longer wanted'));
      await assert.rejects(soon(aborted, 'the aborted receive'), /no longer wanted/);
      await comeBack(here, there);
      await there.send('work', { hello: true });
      assert.deepEqual(await received, { hello: true });
    },

    'what is sent on return, without waiting, arrives in the order of the calls': async (stage) => {
      const [here, there] = await stage.openTwo();
      await here.send('work', { before: true });
      await next(there, 'work');
      await leave(here, there);
      await comeBack(here, there);
      const sending: Promise<void>[] = [];
      for (let n = 0; n < 40; n += 1) {
        sending.push(here.send('work', { n }));
        if (n % 4 === 3) await new Promise(setImmediate);
      }
      await soon(Promise.all(sending), 'every send');
      assert.deepEqual(
        await take(there, 'work', 40),
        Array.from({ length: 40 }, (_, n) => ({ n })),
      );
    },
  };
}

function groupTests(leave: Step, comeBack: Step): Family['tests'] {
  return {
    'living members are in their groups again without the application, also where the broker returns empty': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = here.newChannel();
      const members = [channel, ...(here.capabilities.queues ? ['work'] : [])];
      for (const member of members) await here.groupAdd('group', member);
      await leave(here, there);
      await comeBack(here, there);
      for (let n = 0, got = false; !got; n += 1) {
        assert.ok(n < 500, 'members are in their group again');
        await there.groupSend('group', { n });
        got = await heard(here, members);
      }
    },
  };
}

/** Whether each of the channels gets a message soon. */
async function heard(layer: ChannelLayer, members: readonly string[]): Promise<boolean> {
  const signal = AbortSignal.timeout(50);
  const received = await Promise.allSettled(members.map((member) => layer.receive(member, { signal })));
  return received.every(({ status }) => status === 'fulfilled');
}

/** Sends until the channel's process, which has just come back, is reached. */
async function reachable(layer: ChannelLayer, channel: string): Promise<void> {
  const send = async (): Promise<void> => {
    for (;;) {
      try {
        return await layer.send(channel, { hello: true });
      } catch (error) {
        if (!isLayerError(error, 'CHANNEL_GONE')) throw error;
      }
    }
  };
  await soon(send(), 'the channel is reached');
}
