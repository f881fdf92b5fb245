import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { ProcessChannels } from '../src/process-channels.ts';
import type { Driver, TopicSink } from '../src/driver/driver.ts';
import { LayerError } from '../src/errors.ts';
import { Groups } from '../src/groups.ts';
import { newStats } from '../src/stats.ts';
import { TestClock } from './support/clock.ts';
import { LogLines, scripted, settled } from './support/driver.ts';

const EXPIRY_MS = 3_600_000;

/** Groups over a driver that writes down what it is asked. */
class Script {
  readonly clock = new TestClock();
  readonly stats = newStats();
  readonly log = new LogLines();
  readonly asked: string[] = [];
  readonly sinks = new Map<string, TopicSink>();
  readonly channels = new ProcessChannels('me', { capacity: 2, expiryMs: 2 * EXPIRY_MS }, this.stats, this.clock);
  readonly groups: Groups;
  members: string[] = [];

  constructor(calls: Partial<Driver> = {}) {
    const driver = scripted({
      subscribe: async ({ name }, sink) => {
        this.asked.push(`subscribe ${name}`);
        this.sinks.set(name, sink);
      },
      unsubscribe: async ({ name }) => {
        this.asked.push(`unsubscribe ${name}`);
      },
      addMember: async (group, queue) => {
        this.asked.push(`add ${group} ${queue}`);
      },
      removeMember: async (group, queue) => {
        this.asked.push(`remove ${group} ${queue}`);
      },
      publishGroup: async () => ({ queues: this.members }),
      ...calls,
    });
    this.groups = new Groups(driver, this.channels, { groupExpiryMs: EXPIRY_MS, logger: this.log }, this.stats, this.clock);
  }

  async member(group = 'g'): Promise<string> {
    const channel = this.channels.create('c');
    await this.groups.addLocal(group, channel);
    return channel;
  }

  deliver(group: string, n: number): void {
    this.sinks.get(group)?.message(Buffer.from(`{"n":${n}}`));
  }
}

describe('members in this process', () => {
  test('share one subscription of the group, let go late after the last has left', async () => {
    const script = new Script();
    const members = [await script.member(), await script.member()];
    await script.groups.discardLocal('g', members[0] ?? '');
    await script.groups.removeChannel(members[1] ?? '');
    expect(script.asked).toEqual(['subscribe g']);
    script.clock.advance(1000);
    await settled();
    expect(script.asked).toEqual(['subscribe g', 'unsubscribe g']);
  });

  test('who is added in the moment in which the group would be let go keeps it', async () => {
    const script = new Script();
    const channel = await script.member();
    await script.groups.discardLocal('g', channel);
    const adding = script.groups.addLocal('g', channel);
    script.clock.advance(1000);
    await adding;
    await settled();
    script.deliver('g', 1);
    expect(script.asked).toEqual(['subscribe g']);
    await expect(script.channels.receive(channel, undefined)).resolves.toEqual({ n: 1 });
  });

  test('each get a message of their own; one that is full is counted and the others are served', async () => {
    const script = new Script();
    const members = [await script.member(), await script.member()] as const;
    for (const n of [1, 2]) script.deliver('g', n);
    await script.channels.receive(members[0], undefined);
    script.deliver('g', 3);
    expect(script.stats.droppedFull).toBe(1);
    await expect(script.channels.receive(members[0], undefined)).resolves.toEqual({ n: 2 });
    await expect(script.channels.receive(members[0], undefined)).resolves.toEqual({ n: 3 });
    await expect(script.channels.receive(members[1], undefined)).resolves.toEqual({ n: 1 });
  });

  test('a channel that closes while it is being added is CHANNEL_GONE and no member, and the group is let go', async () => {
    const gate = Promise.withResolvers<void>();
    const script = new Script({
      subscribe: async () => {
        script.asked.push('subscribing');
        await gate.promise;
      },
    });
    const channel = script.channels.create('c');
    const ended = expect(script.groups.addLocal('g', channel)).rejects.toMatchObject({ code: 'CHANNEL_GONE' });
    await settled();
    script.channels.remove(channel);
    await script.groups.removeChannel(channel);
    gate.resolve();
    await ended;
    script.clock.advance(1000);
    await settled();
    expect(script.asked).toEqual(['subscribing', 'unsubscribe g']);
  });

  test('a membership ends its time after the last add, and lets go of the group, also where nobody sends to it', async () => {
    const script = new Script();
    const channel = await script.member();
    script.clock.advance(EXPIRY_MS - 1000);
    await script.groups.addLocal('g', channel);
    script.clock.advance(EXPIRY_MS - 1);
    script.deliver('g', 1);
    script.clock.advance(1);
    script.deliver('g', 2);
    await expect(script.channels.receive(channel, undefined)).resolves.toEqual({ n: 1 });
    await expect(script.channels.receive(channel, AbortSignal.abort('nothing'))).rejects.toBe('nothing');
    const silent = await script.member('silent');
    script.clock.advance(EXPIRY_MS + 600_000);
    await settled();
    expect(script.asked).toEqual(['subscribe g', 'subscribe silent', 'unsubscribe g', 'unsubscribe silent']);
    script.channels.remove(silent);
    script.clock.advance(10 * EXPIRY_MS);
    expect(script.clock.pending).toBe(0);
  });

  test('a group whose subscription fails has no member, and the next add tries again', async () => {
    let broken = true;
    const script = new Script({
      subscribe: async () => {
        if (broken) throw new LayerError('OUTCOME_UNKNOWN', 'lost');
      },
    });
    const channel = script.channels.create('c');
    await expect(script.groups.addLocal('g', channel)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    broken = false;
    await expect(script.groups.addLocal('g', channel)).resolves.toBeUndefined();
  });
});

describe('worker queues as members', () => {
  test('are pushed to by the sender, which answers how many were full', async () => {
    const pushed: string[] = [];
    const script = new Script({
      push: async (queue) => {
        pushed.push(queue);
        return queue !== 'full';
      },
    });
    await expect(script.groups.send('g', Buffer.from('{}'))).resolves.toBeUndefined();
    script.members = ['full', 'one', 'two'];
    await expect(script.groups.send('g', Buffer.from('{}'))).resolves.toBe(1);
    expect([pushed, script.stats.droppedFull]).toEqual([['full', 'one', 'two'], 1]);
  });

  test('one that cannot be reached counts as dropped, since the others have the message: to reject would have it sent to them again', async () => {
    const pushed: string[] = [];
    const script = new Script({
      push: async (queue) => {
        if (queue === 'broken') throw new LayerError('OUTCOME_UNKNOWN', 'lost');
        pushed.push(queue);
        return queue !== 'full';
      },
    });
    script.members = ['broken', 'one', 'full', 'two'];
    await expect(script.groups.send('g', Buffer.from('{}'))).resolves.toBe(2);
    expect([pushed, script.stats.droppedFull, script.log.lines]).toEqual([
      ['one', 'full', 'two'],
      1,
      ['warn a message to a group did not reach all its queues'],
    ]);
  });

  test('are renewed after the broker was away, save those discarded here or elsewhere and those whose time has come', async () => {
    const script = new Script();
    await script.groups.addQueue('g', 'old');
    script.clock.advance(EXPIRY_MS);
    for (const queue of ['kept', 'here', 'elsewhere']) await script.groups.addQueue('g', queue);
    await script.groups.discardQueue('g', 'here');
    script.groups.forgetQueue('g', 'elsewhere');
    script.asked.length = 0;
    await script.groups.renew();
    expect(script.asked).toEqual(['add g kept']);
  });

  test('whose membership was ended while the broker was away are forgotten', async () => {
    const asked: unknown[] = [];
    const script = new Script({
      renewMember: async (...args) => {
        asked.push(args);
        return args[1] !== 'ended';
      },
    });
    for (const queue of ['ended', 'lost']) await script.groups.addQueue('g', queue);
    script.clock.advance(1000);
    await script.groups.renew();
    await script.groups.renew();
    expect(asked).toEqual(['ended', 'lost', 'lost'].map((queue) => ['g', queue, EXPIRY_MS - 1000]));
  });

  test('are looked after from time to time where the broker tells lost ones from ended ones, until none is left', async () => {
    const asked: string[] = [];
    let away = true;
    const script = new Script({
      renewMember: async (group, queue) => {
        asked.push(`${group} ${queue}`);
        if (away) throw new LayerError('LAYER_AWAY', 'away');
        return queue !== 'ended';
      },
    });
    for (const queue of ['ended', 'lost']) await script.groups.addQueue('g', queue);
    for (const expected of [['g ended'], ['g ended', 'g lost'], ['g lost']]) {
      script.clock.advance(10_000);
      await settled();
      expect(asked.splice(0)).toEqual(expected);
      away = false;
    }
    await script.groups.discardQueue('g', 'lost');
    script.clock.advance(10_000);
    await settled();
    expect(asked).toEqual([]);
    script.clock.advance(EXPIRY_MS);
    expect(script.clock.pending).toBe(0);
  });
});
