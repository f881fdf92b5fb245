import { describe, expect, test } from 'vitest';
import { drain, type Draining, type DrainingSession, planCloses } from '../src/drain.ts';

test('closes are 50 ms apart where there is time, else spread over what there is', () => {
  const few = planCloses(10, 20_000, () => 0.5);
  expect(few).toEqual(Array.from({ length: 10 }, (_, index) => index * 50 + 25));
  const many = planCloses(10_000, 20_000, Math.random);
  expect(Math.max(...many)).toBeLessThanOrEqual(20_000);
  expect(many.filter((at) => at < 10_000).length).toBeCloseTo(5000, -2);
  expect(planCloses(0, 1000, Math.random)).toEqual([]);
});

/** A process whose time passes only while it sleeps. */
class Process implements Draining {
  readonly happened: { readonly at: number; readonly what: string }[] = [];
  now = 0;
  #gone: () => void = () => undefined;
  readonly #sessions: readonly DrainingSession[];
  readonly #isStuck: boolean;
  #left: number;

  constructor(sessions: number, isStuck = false) {
    this.#left = sessions;
    this.#isStuck = isStuck;
    this.#sessions = Array.from({ length: sessions }, () => ({
      isOpen: true,
      announceDrain: (after: number) => this.#note(`tell ${after >= 0}`),
      close: () => {
        this.#note('close');
        this.#left -= 1;
        if (this.#left === 0 && !isStuck) this.#gone();
      },
    }));
  }

  announce = (): void => this.#note('announce');
  refuse = (): void => this.#note('refuse');
  sessions = (): readonly DrainingSession[] => this.#sessions;
  gone = (): Promise<void> => new Promise((resolve) => (this.#left === 0 && !this.#isStuck ? resolve() : (this.#gone = resolve)));
  cutOff = (): void => this.#note('cut off');
  finish = async (): Promise<void> => this.#note('finish');

  sleep = async (ms: number): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    this.now += ms;
  };

  order(): string[] {
    return this.happened.map(({ what }) => what).filter((what, index, all) => what !== all[index - 1]);
  }

  #note(what: string): void {
    this.happened.push({ at: this.now, what });
  }
}

describe('a drain', () => {
  test('tells many in slices of the loop, so that the others are served meanwhile', async () => {
    const process = new Process(10_000);
    let told = 0;
    let longest = 0;
    // Each telling takes a twentieth of a millisecond.
    const sessions = process.sessions().map((session) => ({
      ...session,
      announceDrain: () => {
        told += 1;
        process.now += 0.05;
      },
    }));
    let since = 0;
    const sleep = async (ms: number): Promise<void> => {
      if (told > 0 && told < 10_000) longest = Math.max(longest, process.now - since);
      await process.sleep(ms);
      since = process.now;
    };
    process.sessions = () => sessions;
    process.gone = async () => undefined;
    await drain(process, { notice: 0, deadline: 60_000 }, { now: () => process.now, sleep });
    expect(told).toBe(10_000);
    expect(longest).toBeGreaterThan(0);
    expect(longest).toBeLessThan(10);
  });

  test('goes announce, notice, refuse, tell everybody, close at a pace, flush, finish', async () => {
    const process = new Process(100);
    await drain(process, { notice: 5000, deadline: 30_000 }, { now: () => process.now, sleep: process.sleep });
    expect(process.order()).toEqual(['announce', 'refuse', 'tell true', 'close', 'cut off', 'finish']);
    const at = (what: string): number[] => process.happened.filter((event) => event.what === what).map((event) => event.at);
    expect(at('refuse')).toEqual([5000]);
    const closes = at('close');
    expect(closes.length).toBe(100);
    expect(Math.min(...closes)).toBeGreaterThanOrEqual(5900);
    expect(Math.max(...closes) - Math.min(...closes)).toBeGreaterThan(4000);
    expect(process.now).toBeLessThan(15_000);
  });

  test('without notice and without sessions it is over at once', async () => {
    const process = new Process(0);
    await drain(process, { notice: 0, deadline: 30_000 }, { now: () => process.now, sleep: process.sleep });
    expect(process.order()).toEqual(['announce', 'refuse', 'cut off', 'finish']);
    expect(process.happened.at(-1)?.at).toBe(0);
  });

  test.each([
    [10_000, 30_000],
    [10_000, 1000],
    [3, 100],
  ])('%i sessions that never go are cut off within %i ms', async (sessions, deadline) => {
    const process = new Process(sessions, true);
    await drain(process, { notice: 5000, deadline }, { now: () => process.now, sleep: process.sleep });
    const finished = process.happened.at(-1);
    expect(finished?.what).toBe('finish');
    expect(finished?.at).toBeLessThanOrEqual(deadline);
    expect(process.happened.filter(({ what }) => what === 'close').length).toBe(sessions);
  });
});
