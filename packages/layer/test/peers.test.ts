import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import type { Driver } from '../src/driver/driver.ts';
import { LayerError } from '../src/errors.ts';
import { Peers, type Notice } from '../src/peers.ts';
import { newStats } from '../src/stats.ts';
import { TestClock } from './support/clock.ts';
import { scripted, settled } from './support/driver.ts';

class Script {
  readonly clock = new TestClock();
  readonly stats = newStats();
  readonly faults: string[] = [];
  losses = 0;
  readonly notices: Notice[] = [];
  readonly sent: unknown[] = [];
  readonly peers: Peers;
  away = false;

  constructor(calls: Partial<Driver> = {}) {
    const driver = scripted({
      subscribe: async () => undefined,
      publish: async (_topic, payload) => {
        if (this.away) throw new LayerError('LAYER_AWAY', 'away');
        this.sent.push(JSON.parse(Buffer.from(payload).toString()));
        return 1;
      },
      ...calls,
    });
    const events = {
      notice: (notice: Notice) => this.notices.push(notice),
      fault: (kind: string, reason: string) => this.faults.push(`${kind}: ${reason}`),
      missed: () => (this.losses += 1),
    };
    this.peers = new Peers('me', driver, this.stats, events, this.clock);
  }

  hear(notice: unknown): void {
    this.peers.message(Buffer.from(typeof notice === 'string' ? notice : JSON.stringify(notice)));
  }
}

describe('who else shares the layer', () => {
  test('a process says every 5 s that it lives, numbered', async () => {
    const script = new Script();
    await script.peers.start();
    await settled();
    for (let count = 0; count < 2; count += 1) {
      script.clock.advance(5000);
      await settled();
    }
    expect(script.sent).toEqual([1, 2, 3].map((beat) => ({ process: 'me', beat })));
    script.peers.stop();
    script.clock.advance(60_000);
    expect([script.sent.length, script.clock.pending]).toEqual([3, 0]);
  });

  test('a beat that comes back says what it took; that of another one says nothing of it, and a process is heard for as long as its lease', async () => {
    const script = new Script();
    await script.peers.start();
    await settled();
    script.clock.advance(40);
    script.hear({ process: 'other', beat: 1 });
    expect([script.stats.roundTrip, script.peers.hears('other'), script.peers.hears('me')]).toEqual([undefined, true, false]);
    script.hear({ process: 'me', beat: 1 });
    expect(script.stats.roundTrip).toBe(40);
    script.clock.advance(10);
    script.hear({ process: 'me', beat: 1 });
    expect([script.stats.roundTrip, script.stats.roundTrips]).toEqual([40, 1]);
    script.clock.advance(29_989);
    expect(script.peers.hears('other')).toBe(true);
    script.clock.advance(2);
    expect(script.peers.hears('other')).toBe(false);
  });

  test('starting again, as after the broker was away in the beginning, beats no faster', async () => {
    const script = new Script();
    await script.peers.start();
    await script.peers.start();
    await settled();
    script.clock.advance(5000);
    await settled();
    expect(script.sent).toHaveLength(2);
  });

  test('once stopped it does not start, also where the subscription was under way', async () => {
    const gate = Promise.withResolvers<void>();
    const script = new Script({ subscribe: async () => gate.promise });
    const starting = script.peers.start();
    script.peers.stop();
    gate.resolve();
    await starting;
    expect([script.sent, script.clock.pending]).toEqual([[], 0]);
  });

  test('a beat that the broker did not take is not missed by the others: its number is used again', async () => {
    const script = new Script();
    await script.peers.start();
    await settled();
    script.away = true;
    for (let count = 0; count < 3; count += 1) {
      script.clock.advance(5000);
      await settled();
    }
    script.away = false;
    script.clock.advance(5000);
    await settled();
    expect(script.sent).toEqual([
      { process: 'me', beat: 1 },
      { process: 'me', beat: 2 },
    ]);
  });

  test('others are counted while they are heard, and no longer when they say goodbye or their lease ends', async () => {
    const script = new Script();
    await script.peers.start();
    script.hear({ process: 'a', beat: 1 });
    script.hear({ process: 'b', beat: 7 });
    script.hear({ process: 'me', beat: 1 });
    expect(script.stats.peers).toBe(2);
    script.hear({ process: 'b', bye: true });
    expect(script.stats.peers).toBe(1);
    script.clock.advance(15_000);
    expect(script.stats).toMatchObject({ peers: 1, silentPeers: 1 });
    script.clock.advance(20_000);
    expect(script.stats).toMatchObject({ peers: 0, silentPeers: 0, missedHeartbeats: 0 });
  });

  test('a beat that was missed while both live is counted, and is a fault once for as long as it is told; one heard twice is not', () => {
    const script = new Script();
    for (const beat of [1, 2, 2, 5, 6, 8]) script.hear({ process: 'a', beat });
    expect(script.stats.missedHeartbeats).toBe(3);
    expect(script.faults).toEqual(['partitioned: 2 heartbeats of process a were missed although both were connected']);
    script.clock.advance(30_000);
    script.hear({ process: 'a', beat: 10 });
    expect(script.faults).toHaveLength(2);
  });

  test('what was lost beyond a partition is told once, however many processes are heard again; and once more after the next one', () => {
    const script = new Script();
    for (const process of ['a', 'b', 'c']) script.hear({ process, beat: 1 });
    script.clock.advance(30_000);
    expect(script.losses).toBe(0);
    for (const process of ['a', 'b', 'c']) {
      script.clock.advance(1500);
      script.hear({ process, beat: 7 });
    }
    expect(script.losses).toBe(1);
    script.clock.advance(15_000);
    script.hear({ process: 'a', beat: 10 });
    expect([script.losses, script.faults.length]).toEqual([2, 1]);
  });

  test('a process that was cut off for longer than its lease was missed, not dead; it is told for 30 s', () => {
    const script = new Script();
    script.hear({ process: 'a', beat: 1 });
    script.clock.advance(60_000);
    expect([script.stats.missedHeartbeats, script.peers.isPartitioned]).toEqual([0, false]);
    script.hear({ process: 'a', beat: 13 });
    expect([script.stats.missedHeartbeats, script.peers.isPartitioned]).toEqual([11, true]);
    script.clock.advance(30_000);
    expect(script.peers.isPartitioned).toBe(false);
  });

  test('what was missed while the broker was away is no partition', () => {
    const script = new Script();
    script.hear({ process: 'a', beat: 1 });
    script.peers.gap();
    script.hear({ process: 'a', beat: 9 });
    expect(script.stats).toMatchObject({ missedHeartbeats: 0, peers: 1 });
  });

  test('what others did reaches the layer, its own notices do not', () => {
    const script = new Script();
    script.hear({ process: 'a', flushed: true });
    script.hear({ process: 'a', discarded: ['group', 'work'] });
    script.hear({ process: 'me', flushed: true });
    expect(script.notices).toEqual([
      { process: 'a', flushed: true },
      { process: 'a', discarded: ['group', 'work'] },
    ]);
  });

  test('what cannot be told just now is not told', async () => {
    const script = new Script();
    script.away = true;
    await script.peers.tell({ flushed: true });
    script.away = false;
    await script.peers.tell({ discarded: ['group', 'work'] });
    expect(script.sent).toEqual([{ process: 'me', discarded: ['group', 'work'] }]);
  });

  test.each([
    '',
    'x',
    'null',
    '[]',
    '{}',
    '{"process":1,"beat":1}',
    '{"process":"a"}',
    '{"process":"a","beat":"1"}',
    '{"process":"a","beat":null}',
    '{"process":"a","discarded":7}',
    '{"process":"a","discarded":["group"]}',
    '{"process":"a","discarded":[1,2]}',
    '{"process":"a","flushed":0}',
  ])('%s is counted as undecodable, and disturbs nobody', (notice) => {
    const script = new Script();
    script.hear(notice);
    expect(script.stats).toMatchObject({ undecodable: 1, peers: 0, missedHeartbeats: 0 });
    expect(script.notices).toEqual([]);
  });
});

/** So many processes on one bus, whose clocks go together. */
class Fleet {
  readonly members = new Map<string, { readonly peers: Peers; readonly clock: TestClock; readonly stats: ReturnType<typeof newStats>; heard: number }>();

  constructor(size: number) {
    for (let index = 0; index < size; index += 1) this.#add(`p${index}`);
  }

  /** A member's beats reach it no more, or nobody. */
  readonly unheard = new Set<string>();

  async start(): Promise<void> {
    for (const { peers, clock } of this.members.values()) {
      await peers.start();
      clock.advance(1);
    }
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 2500) {
      for (const { clock } of this.members.values()) clock.advance(2500);
      await settled();
    }
  }

  /** Beats that each member hears in a minute. */
  async heardInAMinute(): Promise<number> {
    for (const member of this.members.values()) member.heard = 0;
    await this.pass(60_000);
    return Math.max(...[...this.members.values()].map(({ heard }) => heard));
  }

  #add(name: string): void {
    const clock = new TestClock();
    const stats = newStats();
    const driver = scripted({
      subscribe: async () => undefined,
      publish: async (_topic, payload) => {
        for (const [other, member] of this.members) if (other !== name && !this.unheard.has(name)) member.peers.message(payload);
        return 1;
      },
    });
    const member = { peers: new Peers(name, driver, stats, { notice() {}, fault() {}, missed() {} }, clock), clock, stats, heard: 0 };
    const heard = member.peers.message.bind(member.peers);
    member.peers.message = (payload) => {
      member.heard += 1;
      heard(payload);
    };
    this.members.set(name, member);
  }
}

describe('a fleet of whatever size', () => {
  test.each([
    [5, 4 * 12],
    [20, 19 * 12],
    [60, 260],
    [100, 260],
  ])('of %i: each hears at most %i beats a minute, and all know of all', async (size, most) => {
    const fleet = new Fleet(size);
    await fleet.start();
    await fleet.pass(180_000);
    expect(await fleet.heardInAMinute()).toBeLessThanOrEqual(most);
    for (const { stats } of fleet.members.values()) expect([stats.peers, stats.silentPeers, stats.missedHeartbeats]).toEqual([size - 1, 0, 0]);
  });

  test('one that dies is found dead within its time, and a beat that is missed still shows a partition', async () => {
    const fleet = new Fleet(100);
    await fleet.start();
    await fleet.pass(180_000);
    const [first] = fleet.members.values();
    fleet.unheard.add('p1');
    await fleet.pass(80_000);
    expect(first?.stats.silentPeers).toBe(1);
    fleet.unheard.delete('p1');
    await fleet.pass(60_000);
    expect(first?.stats).toMatchObject({ peers: 99, silentPeers: 0 });
    expect(first?.stats.missedHeartbeats).toBeGreaterThan(0);
    fleet.members.get('p2')?.peers.stop();
    await fleet.pass(105_000);
    expect(first?.stats.peers).toBe(98);
  });

  test('beats of a process that says nothing of its pace are due each 5 s', () => {
    const script = new Script();
    script.hear({ process: 'other', beat: 1 });
    script.hear({ process: 'slow', beat: 1, every: 60_000 });
    script.hear({ process: 'odd', beat: 1, every: 1 });
    expect([script.stats.peers, script.stats.undecodable]).toEqual([2, 1]);
    script.clock.advance(31_000);
    script.hear({ process: 'new', beat: 1 });
    script.hear({ process: 'new', bye: true });
    expect(script.stats.peers).toBe(1);
  });
});

describe('whether a process lives', () => {
  test('is known by its last beat, and by its goodbye', async () => {
    const script = new Script();
    await script.peers.start();
    script.hear({ process: 'other', beat: 1 });
    script.hear({ process: 'slow', beat: 1, every: 60_000 });
    expect(['me', 'other', 'slow'].map((name) => script.peers.lifeOf(name))).toEqual(['alive', 'alive', 'alive']);
    script.clock.advance(15_000);
    expect(script.peers.lifeOf('other')).toBe('alive');
    script.clock.advance(1);
    expect(['me', 'other', 'slow'].map((name) => script.peers.lifeOf(name))).toEqual(['alive', 'gone', 'alive']);
    script.hear({ process: 'slow', bye: true });
    expect(script.peers.lifeOf('slow')).toBe('gone');
    script.peers.stop();
  });

  test('is not for a process to say that has not listened for as long, or that was cut off', async () => {
    const script = new Script();
    expect(script.peers.lifeOf('other')).toBe('unsure');
    await script.peers.start();
    script.clock.advance(15_000);
    expect(script.peers.lifeOf('other')).toBe('unsure');
    script.clock.advance(1);
    expect(script.peers.lifeOf('other')).toBe('gone');
    script.hear({ process: 'other', beat: 1 });
    script.peers.gap();
    expect(script.peers.lifeOf('other')).toBe('unsure');
    script.peers.stop();
  });
});
