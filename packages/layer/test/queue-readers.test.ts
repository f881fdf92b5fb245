import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import type { Driver, Taken } from '../src/driver/driver.ts';
import { LayerError } from '../src/errors.ts';
import { QueueReaders } from '../src/queue-readers.ts';
import { newStats } from '../src/stats.ts';
import { LogLines, scripted, settled } from './support/driver.ts';

interface Pop {
  readonly max: number;
  readonly signal: AbortSignal;
  give(...taken: Taken[]): Promise<void>;
}

/** Readers over a driver whose pops the test answers one by one. */
class Script {
  readonly pops: Pop[] = [];
  readonly returned: string[] = [];
  readonly stats = newStats();
  readonly log = new LogLines();
  readonly readers: QueueReaders;

  constructor(calls: Partial<Driver> = {}) {
    this.readers = new QueueReaders(scripted({ pop: (_queue, max, signal) => this.#pop(max, signal), ...calls }), this.log, this.stats);
  }

  taken(payload: string, parts: Partial<Taken> = {}): Taken {
    return {
      payload: Buffer.from(payload),
      giveBack: async () => {
        this.returned.push(payload);
      },
      ...parts,
    };
  }

  last(): Pop {
    const pop = this.pops.at(-1);
    if (pop === undefined) throw new Error('no pop yet');
    return pop;
  }

  #pop(max: number, signal: AbortSignal): Promise<readonly Taken[]> {
    const { promise, resolve } = Promise.withResolvers<readonly Taken[]>();
    this.pops.push({
      max,
      signal,
      give: async (...taken) => {
        resolve(taken);
        await settled();
      },
    });
    return promise;
  }
}

describe('readers of worker queues', () => {
  test('one pop a queue at a time, for as many as wait', async () => {
    const script = new Script();
    const first = script.readers.receive('q', undefined);
    const more = [script.readers.receive('q', undefined), script.readers.receive('q', undefined)];
    expect(script.pops.map(({ max }) => max)).toEqual([1]);
    await script.last().give(script.taken('{"n":1}'));
    await expect(first).resolves.toEqual({ n: 1 });
    expect(script.pops.map(({ max }) => max)).toEqual([1, 2]);
    await script.last().give(script.taken('{"n":2}'), script.taken('{"n":3}'));
    await expect(Promise.all(more)).resolves.toEqual([{ n: 2 }, { n: 3 }]);
    expect(script.pops).toHaveLength(2);
  });

  test('when the last one aborts the pop is ended, and what it had taken goes back in order', async () => {
    const script = new Script();
    const stop = new AbortController();
    const receives = [script.readers.receive('q', stop.signal)];
    await script.last().give();
    receives.push(script.readers.receive('q', stop.signal), script.readers.receive('q', stop.signal));
    await script.last().give();
    const pop = script.last();
    expect([pop.max, pop.signal.aborted]).toEqual([3, false]);
    stop.abort('enough');
    await expect(Promise.allSettled(receives)).resolves.toEqual(receives.map(() => ({ status: 'rejected', reason: 'enough' })));
    expect(pop.signal.aborted).toBe(true);
    await pop.give(script.taken('{"n":1}'), script.taken('{"n":2}'), script.taken('{"n":3}'));
    expect(script.returned).toEqual(['{"n":3}', '{"n":2}', '{"n":1}']);
  });

  test('who comes while an aborted pop ends is served by what it brings', async () => {
    const script = new Script();
    const stop = new AbortController();
    const aborted = expect(script.readers.receive('q', stop.signal)).rejects.toBe('enough');
    stop.abort('enough');
    await aborted;
    const next = script.readers.receive('q', undefined);
    await script.last().give(script.taken('{"n":1}'));
    await expect(next).resolves.toEqual({ n: 1 });
    expect(script.returned).toEqual([]);
  });

  test('a message that cannot be put back is logged, and does not keep the others from it', async () => {
    const script = new Script();
    const stop = new AbortController();
    const receives = Promise.allSettled([script.readers.receive('q', stop.signal)]);
    stop.abort();
    await receives;
    const fails = async (): Promise<void> => {
      throw new LayerError('LAYER_AWAY', 'away');
    };
    await script.last().give(script.taken('{"n":1}'), script.taken('{"n":2}', { giveBack: fails }), script.taken('{"n":3}'));
    expect([script.returned, script.log.lines.length]).toEqual([['{"n":3}', '{"n":1}'], 1]);
  });

  test.each([
    ['answers that it could not be settled', async () => false],
    [
      'fails',
      async () => {
        throw new LayerError('OUTCOME_UNKNOWN', 'lost');
      },
    ],
  ])('where accepting a message %s nobody gets it, and who waits goes on waiting in its place', async (_, accept) => {
    const script = new Script();
    const receives = [script.readers.receive('q', undefined), script.readers.receive('q', undefined)];
    await script.last().give(script.taken('{"n":1}', { accept }));
    await script.last().give(script.taken('{"n":2}', { accept: async () => true }), script.taken('{"n":3}'));
    await expect(Promise.all(receives)).resolves.toEqual([{ n: 2 }, { n: 3 }]);
  });

  test('once a message is being settled an abort comes too late', async () => {
    const script = new Script();
    const gate = Promise.withResolvers<boolean>();
    const stop = new AbortController();
    const received = script.readers.receive('q', stop.signal);
    await script.last().give(script.taken('{"n":1}', { accept: () => gate.promise }));
    stop.abort();
    gate.resolve(true);
    await expect(received).resolves.toEqual({ n: 1 });
  });

  test('a message that cannot be read is counted and skipped', async () => {
    const script = new Script();
    const received = script.readers.receive('q', undefined);
    await script.last().give(script.taken('no message'));
    await script.last().give(script.taken('{"n":1}'));
    await expect(received).resolves.toEqual({ n: 1 });
    expect(script.stats.undecodable).toBe(1);
  });

  test('a pop that fails ends those who wait with its error, and the next one begins anew', async () => {
    let broken = true;
    const script = new Script({
      pop: async () => {
        if (broken) throw new LayerError('UNSUPPORTED', 'no queues');
        return [script.taken('{"n":1}')];
      },
    });
    await expect(script.readers.receive('q', undefined)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    broken = false;
    await expect(script.readers.receive('q', undefined)).resolves.toEqual({ n: 1 });
  });

  test('close ends every wait, and gives back what comes after it', async () => {
    const script = new Script();
    const ended = expect(script.readers.receive('q', undefined)).rejects.toMatchObject({ code: 'LAYER_CLOSED' });
    script.readers.close(new LayerError('LAYER_CLOSED', 'closed'));
    await ended;
    expect(script.last().signal.aborted).toBe(true);
    await script.last().give(script.taken('{"n":1}'));
    expect([script.returned, script.pops.length]).toEqual([['{"n":1}'], 1]);
  });

  test('close while a message is being settled ends that wait too, whatever becomes of it', async () => {
    const script = new Script();
    const gate = Promise.withResolvers<boolean>();
    const ended = expect(script.readers.receive('q', undefined)).rejects.toMatchObject({ code: 'LAYER_CLOSED' });
    await script.last().give(script.taken('{"n":1}', { accept: () => gate.promise }));
    script.readers.close(new LayerError('LAYER_CLOSED', 'closed'));
    gate.resolve(false);
    await ended;
    expect(script.pops).toHaveLength(1);
  });
});
