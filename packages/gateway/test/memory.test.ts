import { beforeEach, describe, expect, test } from 'vitest';
import { createCounters } from '../src/counters.ts';
import { Inbound } from '../src/inbound.ts';
import type { Collection } from '../src/memory/garbage.ts';
import { allowedMemory, hasOwnLimit, memoryLimit } from '../src/memory/limit.ts';
import { Memory } from '../src/memory/memory.ts';
import { memoryOfGroup, memoryOfProcess } from '../src/memory/used.ts';
import { Outbox, Outboxes } from '../src/session/outbox.ts';
import { Client } from './support/client.ts';
import { FakeLink } from './support/fake-link.ts';
import { SILENT, TestGateway, until } from './support/gateway.ts';
import { ask } from './support/questions.ts';

const MIB = 1024 * 1024;
const LIMIT = 100 * MIB;

/** Memory whose use the test says. */
class Machine {
  used = 0;
  /** Of that, what allocators keep for later. */
  kept = 0;
  /** And what nobody needs any more. */
  garbage = 0;
  now = 0;
  /** What collecting all takes, in milliseconds. */
  takes = 0;
  readonly collected: Collection[] = [];
  readonly told: boolean[] = [];
  /** What each holder holds, and what it was allowed. */
  readonly held = [40 * MIB, 30 * MIB];
  readonly allowed: number[] = [0, 0];
  readonly memory = new Memory({
    limit: LIMIT,
    whole: 200 * MIB,
    used: () => this.used,
    needed: () => this.used - this.kept,
    collect: (type) => this.#collect(type),
    holders: [0, 1].map((index) => this.#holder(index)),
    now: () => this.now,
    onFull: (isFull) => this.told.push(isFull),
    log: SILENT,
  });

  #collect(type: Collection): void {
    this.collected.push(type);
    if (type === 'minor') return;
    this.used -= this.garbage;
    this.garbage = 0;
    this.now += this.takes;
  }

  #holder(index: number) {
    const held = (): number => this.held[index] ?? 0;
    return {
      get held() {
        return held();
      },
      allow: (bytes: number): void => void (this.allowed[index] = bytes / MIB),
    };
  }
}

describe('the memory that a process may use', () => {
  let machine: Machine;

  beforeEach(() => {
    machine = new Machine();
  });

  test('while there is some, what clients have may grow by a part of it until the next look, which comes the sooner the less there is', () => {
    machine.used = 20 * MIB;
    expect(machine.memory.look()).toBe(80);
    expect([machine.memory.isFull, machine.memory.used, machine.allowed]).toEqual([false, 20 * MIB, [9.21875, 9.21875]]);
    machine.used = 92 * MIB;
    expect([machine.memory.look(), machine.allowed]).toEqual([10, [0.21875, 0.21875]]);
    // The last of it is for garbage.
    machine.used = 96 * MIB;
    expect([machine.memory.look(), machine.memory.isFull, machine.allowed]).toEqual([10, false, [0, 0]]);
  });

  test('past it nothing is taken, and what is short is let go of by the first holder, and the rest by the next one', () => {
    machine.used = 150 * MIB;
    expect(machine.memory.look()).toBe(10);
    expect([machine.memory.isFull, machine.told, machine.allowed]).toEqual([true, [true], [-50, -10]]);
    machine.used = 99 * MIB;
    machine.memory.look();
    expect([machine.memory.isFull, machine.told]).toEqual([false, [true, false]]);
  });

  test('garbage is collected before anybody pays for it', () => {
    Object.assign(machine, { used: 150 * MIB, garbage: 60 * MIB });
    machine.memory.look();
    expect([machine.memory.isFull, machine.told, machine.allowed]).toEqual([false, [], [0.46875, 0.46875]]);
  });

  test('what allocators keep is used again, and keeps nobody out', () => {
    Object.assign(machine, { used: 140 * MIB, kept: 100 * MIB });
    machine.memory.look();
    expect([machine.memory.isFull, machine.allowed]).toEqual([false, [0.78125, 0.78125]]);
    machine.used = 152 * MIB;
    machine.memory.look();
    expect([machine.memory.isFull, machine.allowed]).toEqual([false, [0, 0]]);
    machine.used = 163 * MIB;
    machine.kept = 10 * MIB;
    machine.now += 200;
    machine.memory.look();
    expect([machine.memory.isFull, machine.allowed]).toEqual([true, [-63, -23]]);
  });

  test('collecting takes a fifth of the time at most: in between nothing grows, and nobody has to go', () => {
    Object.assign(machine, { used: 150 * MIB, takes: 100 });
    machine.memory.look();
    const majors = (): number => machine.collected.filter((type) => type === 'major').length;
    machine.now += 399;
    machine.memory.look();
    expect([majors(), machine.memory.isFull, machine.allowed]).toEqual([1, true, [0, 0]]);
    machine.now += 1;
    machine.memory.look();
    expect([majors(), machine.allowed]).toEqual([2, [-50, -10]]);
    Object.assign(machine, { now: 1000, takes: 10 });
    const at = [120, 149, 151, 151, 151].map((used) => {
      Object.assign(machine, { now: machine.now + 20, used: used * MIB });
      machine.memory.look();
      return majors();
    });
    expect(at).toEqual([3, 3, 4, 4, 5]);
  });

  test('where it is nearly used up, what is young is collected as it comes, and all once much of it has stayed', () => {
    const collected = [60, 75, 75, 75.5, 80, 88, 81].map((used) => {
      machine.used = used * MIB;
      machine.now += 200;
      machine.memory.look();
      return machine.collected.splice(0).join();
    });
    expect(collected).toEqual(['', 'minor,major', '', '', 'minor', 'minor,major', '']);
  });

  test('it is looked when so much has come, the more often the less is left, however little time has passed', () => {
    const inbound = new Inbound(1000);
    const looks: number[] = [];
    inbound.watch(() => {
      const next = machine.memory.lookForBytes();
      looks.push(next / MIB);
      return next;
    });
    machine.used = 36 * MIB;
    for (let chunk = 0; chunk < 9; chunk += 1) inbound.came(MIB);
    machine.used = 98 * MIB;
    for (let chunk = 0; chunk < 4; chunk += 1) inbound.came(MIB / 2);
    expect(looks).toEqual([4, 4, 0.25, 0.25]);
  });
});

test('outboxes have a lower bound while memory is short: the largest go, and those that are being closed are not waited for', () => {
  const counters = createCounters();
  const all = new Outboxes(counters, 1000, 5000, () => 0);
  const readers = [500, 900, 700].map((size) => {
    const link = Object.assign(new FakeLink(), { room: 0 });
    const outbox: Outbox = new Outbox(all, link, { tooSlow: (reason) => outbox.shut(reason) });
    outbox.write(Buffer.alloc(size), 1);
    return { link, outbox };
  });
  const shut = (): boolean[] => readers.map(({ outbox }) => outbox.isShut);
  expect(all.held).toBe(2100);
  all.allow(0);
  expect(shut()).toEqual([false, false, false]);
  all.allow(-100);
  expect([shut(), readers.map(({ link }) => link.isDestroyed)]).toEqual([
    [false, true, false],
    [false, false, false],
  ]);
  readers[0]?.outbox.write(Buffer.alloc(900), 1);
  expect(shut()).toEqual([true, true, false]);
  all.allow(-2300);
  expect([shut(), readers.map(({ link }) => link.isDestroyed)]).toEqual([
    [true, true, false],
    [true, true, false],
  ]);
  for (const { outbox } of readers.slice(0, 2)) outbox.gone();
  all.allow(-1);
  expect(shut()).toEqual([true, true, true]);
  for (const { outbox } of readers) outbox.gone();
  expect(counters.dropped).toMatchObject({ memory: 4, total: 0 });
});

test('what clients have begun has a lower bound while memory is short, and those go who hold most', () => {
  const inbound = new Inbound(1000);
  const gone: number[] = [];
  for (const begun of [100, 300, 200]) {
    inbound.take(begun);
    const holder = {
      begun,
      evict: () => {
        gone.push(begun);
        inbound.remove(holder);
        inbound.give(begun);
      },
    };
    inbound.add(holder);
  }
  inbound.allow(50);
  expect([inbound.take(51, { begun: 0, evict: () => undefined }), gone]).toEqual([true, [300]]);
  inbound.allow(-60);
  expect([inbound.bytes, gone]).toEqual([151, [300, 200]]);
  inbound.allow(10_000);
  expect([inbound.take(849), gone]).toEqual([true, [300, 200]]);
});

describe('what counts', () => {
  const FILES: Readonly<Record<string, string>> = {
    '/sys/fs/cgroup/memory/pod/a/memory.usage_in_bytes': '1000\n',
    '/sys/fs/cgroup/memory/pod/a/memory.stat': 'active_file 1\ntotal_cache 500\ntotal_inactive_file 200\ntotal_active_file 100\n',
    '/sys/fs/cgroup/memory/memory.usage_in_bytes': '2000\n',
    '/sys/fs/cgroup/memory/memory.stat': 'total_inactive_file 0\ntotal_active_file 500\n',
    '/sys/fs/cgroup/memory.current': '3000\n',
    '/sys/fs/cgroup/memory.stat': 'anon 1\nfile 900\nshmem 300\ninactive_file 400\nactive_file 200\nslab_reclaimable 100\nslab 150\n',
  };
  const of = (group: string): number | undefined => {
    const read = (path: string): string => (path === '/proc/self/cgroup' ? group : (FILES[path] ?? fail()));
    return memoryOfGroup(read, (path) => path in FILES)?.();
  };
  const fail = (): never => {
    throw new Error('no such file');
  };

  test.each([
    ['its own group of version 1', '12:cpu,cpuacct:/\n4:memory:/pod/a\n0::/\n', 700],
    ['the root of version 1 in a container that sees the path of its host', '4:memory:/docker/b\n0::/\n', 1500],
    ['version 2', '0::/\n', 2300],
    ['version 2 in a container that sees the path of its host', '0::/docker/b\n', 2300],
  ])('%s, less what the kernel can take back', (_, group, expected) => {
    expect(of(group)).toBe(expected);
  });

  test('what cannot be read is unknown, and then it is the process alone, without its programs where the system tells them apart', () => {
    expect(memoryOfGroup(fail)).toBeUndefined();
    expect(memoryOfProcess(() => 'VmRSS:\t  99 kB\nRssAnon:\t    12 kB\nRssFile:\t  80 kB\n')).toBe(12 * 1024);
    expect(memoryOfProcess(fail)).toBeGreaterThan(MIB);
    expect(memoryOfProcess()).toBeLessThanOrEqual(memoryLimit());
  });

  test('the limit is a share of all there is, which workers share where no cgroup bounds them together, or a size', () => {
    expect(allowedMemory(0.5, 4)).toBe(memoryLimit() / (hasOwnLimit() ? 2 : 8));
    expect(allowedMemory(64 * MIB, 4)).toBe(64 * MIB);
    expect(allowedMemory(Number.MAX_SAFE_INTEGER, 1)).toBe(memoryLimit());
  });
});

test('a gateway at its limit refuses new sessions, polls and publishes with full, keeps those that it has, and takes them again once there is room', async () => {
  const used = (hasOwnLimit() ? memoryOfGroup() : undefined) ?? memoryOfProcess;
  const limit = Math.round((used() / MIB + 150) * MIB);
  await using gateway = await TestGateway.start(['--limits-memory', `${limit}B`], [{ rooms: 'kept', size: 10, ageMs: 60_000 }]);
  await using socket = await Client.multiplex(gateway.ws('/socket'));
  await using raw = await Client.open(gateway.ws('/room/raw'));
  socket.send({ type: 'join', room: 'kept' });
  let ballast: Buffer[] | undefined = Array.from({ length: 300 }, () => Buffer.alloc(MIB, 1));
  const { gateway: inner } = gateway;
  await until(() => inner.state.memoryUsed > limit, 'it is at its limit');
  const post = (): Promise<number> => fetch(gateway.http('/room/kept'), { method: 'POST', body: 'x' }).then(({ status }) => status);
  expect((await ask(gateway, '/room/kept?last=1')).error).toBe('full');
  expect(await post()).toBe(503);
  await expect(Client.open(gateway.ws('/room/raw'))).rejects.toThrow('503');
  socket.send({ type: 'publish', room: 'kept', text: 'x', ref: 1 });
  await socket.until(() => socket.frames.some(({ type, code, ref }) => type === 'error' && code === 'full' && ref === 1));
  raw.send('x');
  await raw.until(() => raw.socket.readyState === WebSocket.CLOSED);
  expect([inner.counters.publishFailures.full, inner.counters.refused.full, ballast.length]).toEqual([2, 3, 300]);
  ballast = undefined;
  await until(() => inner.state.memoryUsed < limit, 'there is room again');
  expect(await post()).toBe(202);
  await socket.until(() => socket.frames.some(({ type }) => type === 'message'));
});
