import { describe, expect, test } from 'vitest';
import type { Driver, DriverEvents, Topic } from '../src/driver/driver.ts';
import { LayerError } from '../src/errors.ts';
import { ChannelLayer } from '../src/layer.ts';
import { resolveOptions } from '../src/options.ts';
import { LogLines, scripted, settled } from './support/driver.ts';

/** A layer over a driver whose connection the test makes and breaks. */
class Script {
  readonly asked: string[] = [];
  readonly log = new LogLines();
  readonly layer: ChannelLayer;
  events: DriverEvents | undefined;
  opening: (events: DriverEvents) => void = (events) => events.state('connected');

  constructor(calls: Partial<Driver> = {}) {
    const driver = scripted({
      open: async (events) => {
        this.events = events;
        this.opening(events);
      },
      subscribe: async (topic) => this.#note('subscribe', topic),
      publish: async (topic) => {
        this.#note('publish', topic);
        return 1;
      },
      close: async () => void this.asked.push('close'),
      ...calls,
    });
    this.layer = new ChannelLayer(driver, resolveOptions({ logger: this.log, history: [{ rooms: 'kept', size: 1, ageMs: 1 }] }), 'me');
  }

  #note(call: string, topic: Topic): void {
    this.asked.push(`${call} ${topic.kind} ${topic.name}`);
  }
}

describe('opening', () => {
  test('resolves when other processes can reach this one', async () => {
    const gate = Promise.withResolvers<void>();
    const script = new Script({ subscribe: async ({ kind }) => (kind === 'process' ? gate.promise : undefined) });
    let open = false;
    const opening = script.layer.open().then(() => (open = true));
    await settled();
    expect(open).toBe(false);
    gate.resolve();
    await opening;
    expect(script.layer.status.state).toBe('connected');
    await script.layer.close();
  });

  test('resolves away, and makes itself reachable when the broker is there', async () => {
    const script = new Script();
    script.opening = (events) => events.state('away', 'ECONNREFUSED');
    await script.layer.open();
    expect([script.layer.status.state, script.asked]).toEqual(['away', []]);
    script.events?.state('connected');
    await settled();
    expect(script.asked.slice(0, 2)).toEqual(['subscribe process me', 'subscribe control processes']);
    await script.layer.close();
  });

  test('where the broker leaves before that is done, its return begins anew', async () => {
    let broken = true;
    const script = new Script({
      subscribe: async ({ kind }) => {
        script.asked.push(kind);
        if (broken) throw new LayerError('OUTCOME_UNKNOWN', 'lost');
      },
    });
    await script.layer.open();
    expect(script.asked).toEqual(['process']);
    script.events?.state('away');
    broken = false;
    script.events?.state('connected');
    await settled();
    expect(script.asked.slice(1, 3)).toEqual(['process', 'control']);
    expect(script.layer.stats.connects).toBe(2);
    await script.layer.close();
  });
});

describe('status', () => {
  test('changes with the connection, each time since then, and a state said twice is one', async () => {
    const script = new Script();
    await script.layer.open();
    const { since } = script.layer.status;
    script.events?.state('connected');
    expect(script.layer.status.since).toBe(since);
    script.events?.state('away', 'reset');
    expect(script.layer.status.state).toBe('away');
    expect(script.layer.stats.connects).toBe(1);
    await script.layer.close();
    script.events?.state('connected');
    expect(script.layer.status.state).toBe('closed');
  });

  test('says what is wrong, and no longer once it is closed', async () => {
    const script = new Script();
    script.opening = (events) => {
      events.state('away', 'ECONNREFUSED');
      events.fault('unreachable', 'ECONNREFUSED');
    };
    await script.layer.open();
    expect(script.layer.status).toEqual({ state: 'away', since: expect.any(Date) as Date, reason: 'unreachable: ECONNREFUSED' });
    script.events?.state('connected');
    script.events?.fault('out_of_space', 'OOM');
    expect(script.layer.status).toEqual({ state: 'connected', since: expect.any(Date) as Date, reason: 'out_of_space: OOM' });
    expect(script.layer.stats.faults).toMatchObject({ unreachable: 1, out_of_space: 1, data_lost: 0 });
    await script.layer.close();
    script.events?.fault('connection_lost', 'closed');
    expect(script.layer.status).toEqual({ state: 'closed', since: expect.any(Date) as Date });
    expect(script.layer.stats.faults.connection_lost).toBe(0);
  });

  test('while away nothing is asked of the driver: LAYER_AWAY at once, and the error says since when', async () => {
    const script = new Script();
    await script.layer.open();
    script.events?.state('away');
    script.asked.length = 0;
    const { layer } = script;
    const channel = layer.newChannel();
    const calls = [
      layer.publish('r', 'x'),
      layer.subscribe('r', () => undefined),
      layer.send('work', {}),
      layer.send(channel, {}),
      layer.send('c.other!1', {}),
      layer.groupAdd('g', channel),
      layer.groupDiscard('g', 'work'),
      layer.groupSend('g', {}),
      layer.flush(),
    ];
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({ reason: { code: 'LAYER_AWAY', message: expect.stringContaining(layer.status.since.toISOString()) as string } });
    }
    expect(script.asked).toEqual([]);
    await layer.close();
  });
});

describe('a driver that cannot do all', () => {
  test.each([
    ['history', (layer: ChannelLayer) => [layer.publish('kept', 'x'), layer.subscribe('kept', () => undefined)]],
    ['queues', (layer: ChannelLayer) => [layer.send('work', {}), layer.receive('work'), layer.groupAdd('g', 'work'), layer.groupDiscard('g', 'work')]],
    ['groups', (layer: ChannelLayer) => [layer.groupAdd('g', layer.newChannel()), layer.groupDiscard('g', layer.newChannel()), layer.groupSend('g', {})]],
  ] as const)('without %s its calls are UNSUPPORTED and name the layers that can', async (need, calls) => {
    const capabilities = { roomOrder: 'total', history: true, queues: true, groups: true, processes: true, [need]: false } as const;
    const script = new Script({ capabilities });
    await script.layer.open();
    for (const result of await Promise.allSettled(calls(script.layer))) {
      expect(result).toMatchObject({
        reason: { code: 'UNSUPPORTED', message: expect.stringMatching(`no ${need}; layers that can: memory:, redis://`) as string },
      });
    }
    await script.layer.close();
  });
});

describe('closing', () => {
  test('both calls wait for the driver, which is closed once, last', async () => {
    const gate = Promise.withResolvers<void>();
    const script = new Script({
      close: async () => {
        script.asked.push('close');
        await gate.promise;
      },
    });
    await script.layer.open();
    await settled();
    let closed = 0;
    const closing = [script.layer.close(), script.layer.close()].map((call) => call.then(() => (closed += 1)));
    await settled();
    expect([closed, script.asked.slice(-2)]).toEqual([0, ['publish control processes', 'close']]);
    gate.resolve();
    await Promise.all(closing);
    expect(script.asked.filter((call) => call === 'close')).toHaveLength(1);
  });

  test('where the broker is away no goodbye is said', async () => {
    const script = new Script();
    await script.layer.open();
    await settled();
    script.events?.state('away');
    script.asked.length = 0;
    await script.layer.close();
    expect(script.asked).toEqual(['close']);
  });
});

test('what the driver could not read is counted and logged', async () => {
  const script = new Script();
  await script.layer.open();
  script.events?.undecodable('queue work');
  expect([script.layer.stats.undecodable, script.log.lines.at(-1)]).toEqual([1, 'warn a payload could not be read and was skipped']);
  await script.layer.close();
});
