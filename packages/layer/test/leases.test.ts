import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import type { Lease } from '../src/contract.ts';
import type { LeaseStore } from '../src/driver/leases.ts';
import { LayerError } from '../src/errors.ts';
import { Leases } from '../src/leases.ts';
import { MemoryLeases } from '../src/memory/leases.ts';
import { resolveOptions } from '../src/options.ts';
import { newStats } from '../src/stats.ts';
import { TestClock } from './support/clock.ts';
import { LogLines, scripted, settled } from './support/driver.ts';

const AWAY = new LayerError('LAYER_AWAY', 'away');
const UNKNOWN = new LayerError('OUTCOME_UNKNOWN', 'the answer was lost');

/** A broker that keeps leases, whose clock the tests move. */
class Broker {
  readonly clock = new TestClock();
  queued: string[] = [];
  #seen = new Set<string>();
  store = this.#empty();

  /** It comes back without what it had. */
  lose(): void {
    this.store = this.#empty();
    this.queued = [];
    this.#seen = new Set();
  }

  #empty(): MemoryLeases {
    return new MemoryLeases(
      ({ payload }, id) => {
        if (this.#seen.has(id)) return;
        this.#seen.add(id);
        this.queued.push(Buffer.from(payload).toString());
      },
      () => this.clock.now(),
    );
  }
}

/** A process on it; what it asks may fail, before it takes effect or after. */
class Process {
  readonly stats = newStats();
  readonly log = new LogLines();
  readonly clock = new TestClock();
  readonly leases: Leases;
  readonly asked: string[] = [];
  /** Of every call: whether it has an effect, and what it fails with. */
  fault: { readonly before?: LayerError; readonly after?: LayerError } = {};

  constructor(broker: Broker, name: string) {
    const call =
      <K extends keyof LeaseStore>(method: K) =>
      async (...args: Parameters<LeaseStore[K]>): Promise<Awaited<ReturnType<LeaseStore[K]>>> => {
        this.asked.push(method);
        if (this.fault.before !== undefined) throw this.fault.before;
        const run = broker.store[method] as (...given: Parameters<LeaseStore[K]>) => ReturnType<LeaseStore[K]>;
        const answer = await run.apply(broker.store, args);
        if (this.fault.after !== undefined) throw this.fault.after;
        return answer;
      };
    const store: LeaseStore = {
      grant: call('grant'),
      renew: call('renew'),
      hold: call('hold'),
      settle: call('settle'),
      release: call('release'),
      overdue: call('overdue'),
      settleEnded: call('settleEnded'),
    };
    this.leases = new Leases(name, scripted({ leases: store }), resolveOptions({ logger: this.log }), this.stats, this.clock);
  }

  /** The broker leaves, and is back with the next call of {@link back}. */
  leave(): void {
    this.fault = { before: AWAY };
    this.leases.away();
  }

  async back(): Promise<void> {
    this.fault = {};
    this.leases.connected();
    await settled();
  }
}

/** Time goes by for the broker and for those processes that are not frozen. */
async function pass(broker: Broker, ms: number, ...processes: Process[]): Promise<void> {
  for (let left = ms; left > 0; left -= 100) {
    broker.clock.advance(100);
    for (const { clock } of processes) clock.advance(100);
    await settled();
  }
}

const held = (n: number) => ({ channel: 'work', message: { held: n } });

async function start(count = 2): Promise<{ broker: Broker; processes: Process[]; leases: Lease[] }> {
  const broker = new Broker();
  const processes = Array.from({ length: count }, (_, index) => new Process(broker, `p${index}`));
  const leases = await Promise.all(processes.map((process) => process.leases.open({})));
  return { broker, processes, leases };
}

describe('a process that dies', () => {
  test('others settle each of its records once, within 12 s', async () => {
    const { broker, processes, leases } = await start(4);
    const [dead, ...others] = processes as [Process, ...Process[]];
    for (let n = 0; n < 1000; n += 1) await leases[0]?.hold(`${n}`, held(n));
    await pass(broker, 20_000, ...processes);
    expect(broker.queued).toEqual([]);
    dead.fault = { before: AWAY };
    await pass(broker, 7900, ...others);
    expect(broker.queued).toEqual([]);
    await pass(broker, 4100, ...others);
    expect(broker.queued.toSorted()).toEqual(Array.from({ length: 1000 }, (_, n) => `{"held":${n}}`).toSorted());
    expect(others.reduce((sum, { stats }) => sum + stats.recordsSettled, 0)).toBe(1000);
  });

  test('only who holds a lease itself settles, and only once it has lived steadily for as long as a lease', async () => {
    const { broker, processes, leases } = await start(2);
    const [first, second] = processes as [Process, Process];
    await leases[0]?.hold('one', held(1));
    first.fault = { before: AWAY };
    await pass(broker, 9000, second);
    second.leave();
    await pass(broker, 1000, second);
    await second.back();
    await pass(broker, 9500, second);
    expect(broker.queued).toEqual([]);
    await pass(broker, 1500, second);
    expect(broker.queued).toEqual(['{"held":1}']);
  });

  test('which leases are over is asked from the first on, four times in two seconds, though nobody may settle them yet: a driver may have to count', async () => {
    const { broker, processes } = await start(1);
    await pass(broker, 2000, ...processes);
    expect(processes[0]?.asked.filter((method) => method !== 'renew')).toEqual(['grant', 'overdue', 'overdue', 'overdue', 'overdue']);
  });

  test('after a pause of the broker everybody renews first, and nobody settles for one who is only late', async () => {
    const { broker, processes, leases } = await start(3);
    await leases[0]?.hold('one', held(1));
    for (const process of processes) process.fault = { before: UNKNOWN };
    await pass(broker, 30_000, ...processes);
    for (const process of processes.slice(1)) await process.back();
    await pass(broker, 5000, ...processes.slice(1));
    await processes[0]?.back();
    await pass(broker, 60_000, ...processes);
    expect([broker.queued, leases[0]?.lost.aborted]).toEqual([[], false]);
  });
});

describe('a process that was frozen for longer than its lease', () => {
  test('learns it when it wakes, and settles nothing', async () => {
    const { broker, processes, leases } = await start();
    const [frozen, other] = processes as [Process, Process];
    const [lease] = leases as [Lease, Lease];
    await lease.hold('one', held(1));
    await lease.hold('two', held(2));
    await pass(broker, 25_000, other);
    expect(broker.queued.toSorted()).toEqual(['{"held":1}', '{"held":2}']);
    expect(await lease.settle('one', { late: 1 })).toBe(false);
    expect(lease.lost.reason).toMatchObject({ code: 'TIMEOUT' });
    await expect(lease.hold('three', held(3))).rejects.toBe(lease.lost.reason);
    expect(await lease.settle('two', { late: 2 })).toBe(false);
    await lease.close();
    expect(broker.queued).toHaveLength(2);
    expect([frozen.stats.leasesLost, frozen.clock.pending]).toEqual([1, 0]);
    expect(frozen.log.lines).toContain('error a lease was lost: this process was not heard in time, and others have settled what it held');
  });

  test('learns it by its own renewal too', async () => {
    const { broker, processes, leases } = await start();
    await leases[0]?.hold('one', held(1));
    await pass(broker, 25_000, processes[1] as Process);
    processes[0]?.clock.stall(25_000);
    await settled();
    expect(leases[0]?.lost.aborted).toBe(true);
  });

  test('where the broker came back empty meanwhile it is lost as well: others may have settled it before', async () => {
    const { broker, processes, leases } = await start();
    const [frozen, other] = processes as [Process, Process];
    await leases[0]?.hold('one', held(1));
    await pass(broker, 25_000, other);
    broker.lose();
    frozen.clock.stall(25_000);
    frozen.leave();
    await frozen.back();
    expect(leases[0]?.lost.aborted).toBe(true);
    await leases[0]?.close();
    expect(broker.queued).toEqual([]);
  });

  test('one that is over but not settled yet may still be renewed', async () => {
    const { broker, processes, leases } = await start(1);
    await leases[0]?.hold('one', held(1));
    broker.clock.advance(60_000);
    processes[0]?.clock.stall(60_000);
    await settled();
    expect(leases[0]?.lost.aborted).toBe(false);
    expect(await leases[0]?.settle('one', { real: 1 })).toBe(true);
  });
});

describe('the broker loses what it had', () => {
  test('all that is held is written again when it is back, and a death after that is settled', async () => {
    const { broker, processes, leases } = await start();
    const [first, second] = processes as [Process, Process];
    for (let n = 0; n < 250; n += 1) await leases[0]?.hold(`${n}`, held(n));
    await pass(broker, 15_000, ...processes);
    for (const process of processes) process.leave();
    broker.lose();
    await pass(broker, 3000, ...processes);
    for (const process of processes) await process.back();
    expect(leases.map(({ lost }) => lost.aborted)).toEqual([false, false]);
    first.fault = { before: AWAY };
    await pass(broker, 25_000, second);
    expect(new Set(broker.queued).size).toBe(250);
    expect(broker.queued).toHaveLength(250);
  });

  test('a settle and a hold that come before that find it out, and take effect', async () => {
    const { broker, leases } = await start();
    const [lease] = leases as [Lease, Lease];
    await lease.hold('one', held(1));
    broker.lose();
    expect(await lease.settle('one', { real: 1 })).toBe(true);
    broker.lose();
    await lease.hold('two', held(2));
    await lease.close();
    expect(broker.queued).toEqual(['{"held":2}']);
  });

  test('where writing again is broken off it goes on with the next renewal', async () => {
    const { broker, processes, leases } = await start(1);
    const [process] = processes as [Process];
    for (let n = 0; n < 250; n += 1) await leases[0]?.hold(`${n}`, held(n));
    broker.lose();
    let answers = 0;
    Object.defineProperty(process, 'fault', { configurable: true, get: () => ((answers += 1) > 6 ? { before: UNKNOWN } : {}) });
    await pass(broker, 2000, process);
    Object.defineProperty(process, 'fault', { value: {}, writable: true });
    await pass(broker, 2000, process);
    await leases[0]?.close();
    expect(broker.queued).toHaveLength(250);
  });
});

describe('answers that are lost', () => {
  test.each([
    ['had its effect', { after: UNKNOWN }],
    ['had none', { before: UNKNOWN }],
    ['was not sent', { before: AWAY }],
  ])('a settle that %s is made sure of when the broker answers again: its message is queued once', async (_, fault) => {
    const { broker, processes, leases } = await start(1);
    const [process] = processes as [Process];
    await leases[0]?.hold('one', held(1));
    process.fault = fault;
    await expect(leases[0]?.settle('one', { real: 1 })).rejects.toBeInstanceOf(LayerError);
    process.fault = {};
    await pass(broker, 2000, process);
    expect(broker.queued).toEqual(['{"real":1}']);
    await leases[0]?.close();
    expect(broker.queued).toEqual(['{"real":1}']);
  });

  test('a settle that is asked for again is true for the one who took it, and queued once', async () => {
    const { broker, processes, leases } = await start(1);
    const [process] = processes as [Process];
    await leases[0]?.hold('one', held(1));
    process.fault = { after: UNKNOWN };
    await expect(leases[0]?.settle('one', { real: 1 })).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    process.fault = {};
    expect(await leases[0]?.settle('one', { real: 1 })).toBe(true);
    expect(broker.queued).toEqual(['{"real":1}']);
  });

  test('a first hold that fails holds nothing, also where it had its effect', async () => {
    const { broker, processes, leases } = await start(2);
    const [first, second] = processes as [Process, Process];
    first.fault = { after: UNKNOWN };
    await expect(leases[0]?.hold('one', held(1))).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    first.fault = {};
    await pass(broker, 2000, first, second);
    first.fault = { before: AWAY };
    await pass(broker, 25_000, second);
    expect(broker.queued).toEqual([]);
  });

  test('a hold that fails where something was held leaves that in its place', async () => {
    const { broker, processes, leases } = await start(2);
    const [first, second] = processes as [Process, Process];
    await leases[0]?.hold('one', held(1));
    first.fault = { after: UNKNOWN };
    await expect(leases[0]?.hold('one', held(2))).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    first.fault = {};
    await pass(broker, 2000, first, second);
    first.fault = { before: AWAY };
    await pass(broker, 25_000, second);
    expect(broker.queued).toEqual(['{"held":1}']);
  });

  test('a key that is held again while its last end is not known yet has an end of its own', async () => {
    const { broker, processes, leases } = await start(1);
    const [process] = processes as [Process];
    await leases[0]?.hold('one', held(1));
    process.fault = { after: UNKNOWN };
    await expect(leases[0]?.settle('one', { real: 1 })).rejects.toBeInstanceOf(LayerError);
    process.fault = {};
    await leases[0]?.hold('one', held(2));
    expect(await leases[0]?.settle('one', { real: 2 })).toBe(true);
    expect(broker.queued).toEqual(['{"real":1}', '{"real":2}']);
  });
});

describe('closing', () => {
  test('leaves no timer, and asks the broker no more', async () => {
    const { processes, leases } = await start(1);
    const [process] = processes as [Process];
    await leases[0]?.close();
    process.clock.advance(60_000);
    await settled();
    expect([process.clock.pending, process.asked.at(-1)]).toEqual([0, 'release']);
  });

  test('while the broker is away what is held stays there, and others settle it', async () => {
    const { broker, processes, leases } = await start(2);
    const [first, second] = processes as [Process, Process];
    await leases[0]?.hold('one', held(1));
    first.leave();
    await first.leases.close();
    expect([first.clock.pending, first.log.lines]).toEqual([0, ['warn a lease could not be settled: others will']]);
    await pass(broker, 25_000, second);
    expect(broker.queued).toEqual(['{"held":1}']);
  });
});
