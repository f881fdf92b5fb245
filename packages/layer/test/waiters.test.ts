import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { WaiterList } from '../src/waiters.ts';

function list(): { waiters: WaiterList<number>; emptied: () => number } {
  let count = 0;
  return { waiters: new WaiterList<number>(() => (count += 1)), emptied: () => count };
}

describe('waiters', () => {
  test('are served in waiting order', async () => {
    const { waiters } = list();
    const waiting = [waiters.wait(undefined), waiters.wait(undefined), waiters.wait(undefined)];
    for (const value of [1, 2, 3]) waiters.take()?.resolve(value);
    await expect(Promise.all(waiting)).resolves.toEqual([1, 2, 3]);
    expect(waiters.take()).toBeUndefined();
  });

  test('one that aborts leaves with its reason, and the last one to leave is told', async () => {
    const { waiters, emptied } = list();
    const stops = [new AbortController(), new AbortController()];
    const waiting = stops.map((stop) => waiters.wait(stop.signal));
    stops[0]?.abort('first');
    await expect(waiting[0]).rejects.toBe('first');
    expect([waiters.size, emptied()]).toEqual([1, 0]);
    stops[1]?.abort('second');
    await expect(waiting[1]).rejects.toBe('second');
    expect([waiters.size, emptied()]).toEqual([0, 1]);
  });

  test('a signal that was aborted before rejects at once', async () => {
    const { waiters } = list();
    await expect(waiters.wait(AbortSignal.abort('before'))).rejects.toBe('before');
    expect(waiters.size).toBe(0);
  });

  test('once taken an abort comes too late', async () => {
    const { waiters } = list();
    const stop = new AbortController();
    const waiting = waiters.wait(stop.signal);
    const waiter = waiters.take();
    stop.abort();
    waiter?.resolve(7);
    await expect(waiting).resolves.toBe(7);
  });

  test('a taken one that is returned is first again, or leaves if it was aborted meanwhile', async () => {
    const { waiters } = list();
    const stop = new AbortController();
    const waiting = [waiters.wait(undefined), waiters.wait(stop.signal), waiters.wait(undefined)];
    const first = waiters.take();
    const second = waiters.take();
    if (second === undefined || first === undefined) throw new Error('both wait');
    stop.abort('gone');
    waiters.return(second);
    waiters.return(first);
    await expect(waiting[1]).rejects.toBe('gone');
    waiters.take()?.resolve(1);
    waiters.take()?.resolve(3);
    await expect(Promise.all([waiting[0], waiting[2]])).resolves.toEqual([1, 3]);
  });

  test('no listener stays on a signal', async () => {
    const { waiters } = list();
    const { signal } = new AbortController();
    const waiting = [waiters.wait(signal), waiters.wait(signal)];
    waiters.take()?.resolve(1);
    waiters.rejectAll('closed');
    await expect(Promise.allSettled(waiting)).resolves.toMatchObject([{ value: 1 }, { reason: 'closed' }]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
