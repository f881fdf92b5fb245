import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import type { Driver, Taken } from '../src/driver/driver.ts';
import { LayerError } from '../src/errors.ts';
import { QueueReaders } from '../src/queue-readers.ts';
import { newStats } from '../src/stats.ts';
import { TestClock } from './support/clock.ts';
import { LogLines, scripted, settled } from './support/driver.ts';

const AHEAD = 4;

/** Readers of a queue that is never empty, and what was done with it. */
class Supply {
  readonly clock = new TestClock();
  readonly stats = newStats();
  readonly log = new LogLines();
  /** How many each pop asked for. */
  readonly asked: number[] = [];
  readonly returned: unknown[] = [];
  /** Whether what is to go back in order may. */
  inOrder = async (): Promise<boolean> => true;
  readonly readers: QueueReaders;
  /** Messages that the queue still has; undefined: as many as are wanted. */
  stock: number | undefined;
  lives = Infinity;
  #issued = 0;

  constructor(calls: Partial<Driver> = {}) {
    const pop: Driver['pop'] = (_queue, max, _signal, ahead = 0) => {
      this.asked.push(max + ahead);
      return this.pop(max + ahead);
    };
    this.readers = new QueueReaders(scripted({ readAhead: { most: AHEAD, proof: 512 }, pop, ...calls }), this.log, this.stats, this.clock);
  }

  /** How the queue answers; a test may put its own in place. */
  pop = async (max: number): Promise<Taken[]> => {
    const count = Math.min(max, this.stock ?? max);
    if (this.stock !== undefined) this.stock -= count;
    return Array.from({ length: count }, () => this.taken(`{"n":${(this.#issued += 1)}}`, this.#issued));
  };

  taken(payload: string, n: number): Taken {
    return {
      payload: Buffer.from(payload),
      endsAt: this.clock.now() + this.lives,
      giveBack: async () => {
        this.returned.push(n);
      },
      giveBackInOrder: async () => {
        const gone = await this.inOrder();
        if (gone) this.returned.push(n);
        return gone;
      },
    };
  }

  async read(count: number): Promise<unknown[]> {
    const numbers: unknown[] = [];
    for (let index = 0; index < count; index += 1) numbers.push((await this.readers.receive('q', undefined))['n']);
    return numbers;
  }

  /** Reads until messages are read ahead, and until none is held. */
  async prove(): Promise<number> {
    let read = 0;
    while (this.asked.at(-1) !== 1 + AHEAD) read += (await this.read(1)).length;
    return read + (await this.read(AHEAD)).length;
  }
}

function numbers(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + index);
}

describe('reading ahead', () => {
  test('only what was asked for is taken until listeners have proved to be quick; from then on one pop serves several receives, in order', async () => {
    const supply = new Supply();
    expect(await supply.read(1000)).toEqual(numbers(1, 1000));
    const first = supply.asked.findIndex((max) => max > 1);
    expect(first).toBeGreaterThan(500);
    expect(supply.asked.slice(0, first)).toEqual(numbers(1, first).map(() => 1));
    expect(new Set(supply.asked.slice(first))).toEqual(new Set([1 + AHEAD]));
    expect(supply.asked.length).toBe(first + Math.ceil((1000 - first) / (1 + AHEAD)));
  });

  test('a driver that does not read ahead is never asked for more than is waited for', async () => {
    const supply = new Supply({ readAhead: { most: 0, proof: 0 } });
    await supply.read(1000);
    expect(new Set(supply.asked)).toEqual(new Set([1]));
  });

  test('a slow listener takes nothing ahead, however long it goes on', async () => {
    const supply = new Supply();
    for (let round = 0; round < 1000; round += 1) {
      await supply.read(1);
      supply.clock.advance(3);
    }
    expect(new Set(supply.asked)).toEqual(new Set([1]));
  });

  test('one that has become slow gets what is held, and no more is taken ahead', async () => {
    const supply = new Supply();
    await supply.prove();
    const before = supply.asked.length;
    await supply.read(1);
    for (let round = 0; round < AHEAD; round += 1) {
      supply.clock.advance(40);
      await supply.read(1);
    }
    expect(supply.asked.slice(before)).toEqual([1 + AHEAD]);
    supply.clock.advance(40);
    await supply.read(1);
    expect(supply.asked.slice(before)).toEqual([1 + AHEAD, 1]);
    expect(supply.returned).toEqual([]);
  });

  test('one that is held up once in many messages is quick all the same', async () => {
    const supply = new Supply();
    for (let round = 0; round < 2; round += 1) {
      await supply.read(1000);
      supply.clock.advance(3);
    }
    await supply.read(1 + AHEAD);
    expect(supply.asked.at(-1)).toBe(1 + AHEAD);
  });

  test('where the queue is read faster than it fills nothing more is looked for', async () => {
    const supply = new Supply();
    await supply.prove();
    supply.stock = 1;
    await supply.read(1);
    supply.stock = undefined;
    await supply.read(1);
    expect(supply.asked.slice(-2)).toEqual([1 + AHEAD, 1]);
  });

  test('what nobody has come for goes back, youngest first, and nothing is kept', async () => {
    const supply = new Supply();
    const read = await supply.prove();
    await supply.read(1);
    supply.clock.advance(50);
    await settled();
    expect(supply.returned).toEqual([]);
    supply.clock.advance(100);
    await settled();
    expect(supply.returned).toEqual(numbers(read + 2, AHEAD).toReversed());
    supply.clock.advance(100);
    expect(supply.clock.pending).toBe(0);
    await supply.read(1);
    expect(supply.asked.at(-1)).toBe(1);
  });

  test('where others have gone on past it, it stays for who comes back, and goes back anyway after two seconds', async () => {
    const supply = new Supply();
    supply.inOrder = async () => false;
    const read = await supply.prove();
    await supply.read(1);
    supply.clock.advance(1900);
    await settled();
    expect(supply.returned).toEqual([]);
    expect(await supply.read(2)).toEqual([read + 2, read + 3]);
    supply.clock.advance(1900);
    await settled();
    expect(supply.returned).toEqual([]);
    supply.clock.advance(200);
    await settled();
    expect(supply.returned).toEqual([read + 5, read + 4]);
    supply.clock.advance(100);
    expect(supply.clock.pending).toBe(0);
  });

  test('a process that was given no time to run has not been slow', async () => {
    const supply = new Supply();
    const read = await supply.prove();
    await supply.read(1);
    supply.clock.stall(10_000);
    await settled();
    expect(supply.returned).toEqual([]);
    expect(await supply.read(AHEAD)).toEqual(numbers(read + 2, AHEAD));
  });

  test.each([
    ['gets it where it may not', false],
    ['gets what follows it in the queue', true],
  ])('who comes while it goes back waits for that, and %s', async (_, gone) => {
    const supply = new Supply();
    const answer = Promise.withResolvers<boolean>();
    supply.inOrder = () => answer.promise;
    const read = await supply.prove();
    await supply.read(1);
    supply.clock.advance(150);
    const pops = supply.asked.length;
    const next = supply.read(1);
    await settled();
    expect(supply.asked.length).toBe(pops);
    answer.resolve(gone);
    expect(await next).toEqual([gone ? read + 2 + AHEAD : read + 2]);
    expect(supply.asked.length).toBe(gone ? pops + 1 : pops);
  });

  test("what cannot be said to have gone back is nobody's", async () => {
    const supply = new Supply();
    supply.inOrder = () => Promise.reject(new LayerError('OUTCOME_UNKNOWN', 'lost'));
    const read = await supply.prove();
    await supply.read(1);
    supply.clock.advance(150);
    expect(await supply.read(1)).toEqual([read + 2 + AHEAD]);
    expect(supply.returned).toEqual([]);
  });

  test('close while it goes back puts back what may not go in order', async () => {
    const supply = new Supply();
    const answer = Promise.withResolvers<boolean>();
    supply.inOrder = () => answer.promise;
    const read = await supply.prove();
    await supply.read(1);
    supply.clock.advance(150);
    supply.readers.close(new LayerError('LAYER_CLOSED', 'closed'));
    answer.resolve(false);
    await settled();
    expect(supply.returned).toEqual(numbers(read + 2, AHEAD).toReversed());
  });

  test('a listener that waits is not let go of', async () => {
    const supply = new Supply({ pop: () => new Promise(() => undefined) });
    void supply.readers.receive('q', undefined);
    const stop = new AbortController();
    await expect(Promise.race([supply.readers.receive('q', stop.signal), settled().then(() => 'waits')])).resolves.toBe('waits');
    supply.clock.advance(10_000);
    expect(supply.clock.pending).toBe(0);
  });

  test('what has expired meanwhile is not handed out, and counted', async () => {
    const supply = new Supply();
    supply.lives = 90;
    const read = await supply.prove();
    await supply.read(1);
    supply.clock.advance(90);
    expect(await supply.read(1)).toEqual([read + 2 + AHEAD]);
    expect(supply.stats.expired).toBe(AHEAD);
    expect(supply.returned).toEqual([]);
  });

  test('an aborted receive takes nothing of it', async () => {
    const supply = new Supply();
    const read = await supply.prove();
    await supply.read(1);
    await expect(supply.readers.receive('q', AbortSignal.abort('enough'))).rejects.toBe('enough');
    expect(await supply.read(AHEAD)).toEqual(numbers(read + 2, AHEAD));
  });

  test('where everybody aborts while messages are taken ahead, all of them go back at once', async () => {
    const slow = Promise.withResolvers<void>();
    const supply = new Supply();
    await supply.prove();
    const [first, ...others] = numbers(1, 3).map((n) => supply.taken(`{"n":${n}}`, n)) as [Taken, ...Taken[]];
    supply.pop = async () => {
      await slow.promise;
      return [first, ...others];
    };
    const stop = new AbortController();
    const aborted = expect(supply.readers.receive('q', stop.signal)).rejects.toBe('enough');
    stop.abort('enough');
    await aborted;
    slow.resolve();
    await settled();
    expect(supply.returned).toEqual([3, 2, 1]);
  });

  test('a message that cannot be read is skipped and counted, and who was to have it gets the next one', async () => {
    const supply = new Supply();
    await supply.prove();
    supply.pop = async () => ['no message', '[2]', '{"n":3}', '{"n":4}'].map((payload, index) => supply.taken(payload, index));
    expect(await supply.read(2)).toEqual([3, 4]);
    expect(supply.stats.undecodable).toBe(2);
  });

  test('close gives back what is held', async () => {
    const supply = new Supply();
    const read = await supply.prove();
    await supply.read(1);
    supply.readers.close(new LayerError('LAYER_CLOSED', 'closed'));
    expect(supply.returned).toEqual(numbers(read + 2, AHEAD).toReversed());
    expect(supply.clock.pending).toBe(0);
  });
});
