import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { JoinedCalls } from '../src/joined-calls.ts';

/** Calls whose steps the test sees, for queues that take so many messages of a step. */
class Steps {
  readonly seen: { readonly key: string; readonly messages: string[] }[] = [];
  readonly calls = new JoinedCalls();
  readonly #takes: number;

  constructor(takes = Infinity) {
    this.#takes = takes;
  }

  add(key: string, text: string): Promise<boolean> {
    return this.calls.add(key, { payload: Buffer.from(text), options: undefined }, async (items) => {
      this.seen.push({ key, messages: items.map(({ payload }) => String(payload)) });
      return (index) => index < this.#takes;
    });
  }
}

describe('messages sent to a queue in one turn', () => {
  test('leave in one step, in order, also where they are sent from promises that follow one another', async () => {
    const steps = new Steps();
    const chain = async (): Promise<boolean> => {
      await Promise.resolve();
      await Promise.resolve();
      return steps.add('a', '3');
    };
    await Promise.resolve();
    const sent = await Promise.all([steps.add('a', '1'), steps.add('a', '2'), chain()]);
    expect(sent).toEqual([true, true, true]);
    expect(steps.seen).toEqual([{ key: 'a', messages: ['1', '2', '3'] }]);
  });

  test('of another turn leave in another', async () => {
    const steps = new Steps();
    await steps.add('a', '1');
    await steps.add('a', '2');
    expect(steps.seen.map(({ messages }) => messages)).toEqual([['1'], ['2']]);
  });

  test('to several queues keep the order in which they were sent', async () => {
    const steps = new Steps();
    await Promise.all([steps.add('a', '1'), steps.add('a', '2'), steps.add('b', '3'), steps.add('a', '4')]);
    expect(steps.seen).toEqual([
      { key: 'a', messages: ['1', '2'] },
      { key: 'b', messages: ['3'] },
      { key: 'a', messages: ['4'] },
    ]);
  });

  test('leave before anything else that is sent after them', () => {
    const steps = new Steps();
    void steps.add('a', '1');
    expect(steps.seen).toEqual([]);
    steps.calls.flush();
    expect(steps.seen).toHaveLength(1);
    steps.calls.flush();
    expect(steps.seen).toHaveLength(1);
  });

  test('are refused one by one: the first that the queue still took were accepted', async () => {
    const steps = new Steps(2);
    await expect(Promise.all(['1', '2', '3', '4'].map((text) => steps.add('a', text)))).resolves.toEqual([true, true, false, false]);
  });

  test('are at most 128 a step, and 256 KiB', async () => {
    const steps = new Steps();
    await Promise.all(Array.from({ length: 300 }, (_, n) => steps.add('a', `${n}`)));
    expect(steps.seen.map(({ messages }) => messages.length)).toEqual([128, 128, 44]);
    const large = new Steps();
    await Promise.all(Array.from({ length: 5 }, () => large.add('a', 'x'.repeat(131_072))));
    expect(large.seen.map(({ messages }) => messages.length)).toEqual([2, 2, 1]);
    await large.add('a', 'x'.repeat(1_000_000));
    expect(large.seen.at(-1)?.messages).toHaveLength(1);
  });

  test('all learn of what went wrong', async () => {
    const calls = new JoinedCalls();
    const fail = (): Promise<never> => Promise.reject(new Error('away'));
    const results = await Promise.allSettled(['1', '2'].map((text) => calls.add('a', { payload: Buffer.from(text), options: undefined }, fail)));
    expect(results.map((result) => (result.status === 'rejected' ? (result.reason as Error).message : 'accepted'))).toEqual(['away', 'away']);
  });
});
