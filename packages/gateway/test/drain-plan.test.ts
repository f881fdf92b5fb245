import { describe, expect, test } from 'vitest';
import { closeWithin } from '../src/drain/closing.ts';
import { drain, planCloses } from '../src/drain.ts';
import type { DrainBudget, Draining, DrainingSession } from '../src/drain/draining.ts';

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
  readonly steps: Record<string, number> = {};
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
  took = (step: string, ms: number): void => void (this.steps[step] = ms);
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
    // What each step took is told, and together they are all of it.
    expect(process.steps).toMatchObject({ notice: 5000, closing: Math.max(...closes) - 5000 });
    expect(Object.values(process.steps).reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(at('cut off')[0] ?? 0, 5);
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

/** A share that the test says, and what was done with it. */
class Share implements DrainBudget {
  readonly calls: string[] = [];
  perSecond: number;

  constructor(perSecond: number) {
    this.perSecond = perSecond;
  }

  begin(): void {
    this.calls.push('begin');
  }

  share(): number {
    return this.perSecond;
  }

  end(): void {
    this.calls.push('end');
  }
}

describe('a drain with a budget of its fleet', () => {
  const closesOf = ({ happened }: Process): number[] => happened.filter(({ what }) => what === 'close').map(({ at }) => at);

  test('closes at its share, and at the new one from when that changes', async () => {
    const process = new Process(1000);
    const share = new Share(100);
    const clock = {
      now: () => process.now,
      sleep: async (ms: number): Promise<void> => {
        await process.sleep(ms);
        if (closesOf(process).length >= 500) share.perSecond = 50;
      },
    };
    await closeWithin(share, process.sessions(), { available: 60_000, notice: 1000 }, clock);
    const closes = closesOf(process);
    expect(closes.length).toBe(1000);
    expect((closes[499] ?? 0) - (closes[0] ?? 0)).toBeGreaterThan(4900);
    expect((closes[499] ?? 0) - (closes[0] ?? 0)).toBeLessThan(5100);
    expect((closes[999] ?? 0) - (closes[499] ?? 0)).toBeGreaterThan(9800);
    expect((closes[999] ?? 0) - (closes[499] ?? 0)).toBeLessThan(10_200);
    expect(share.calls).toEqual(['begin', 'end']);
  });

  test('its own deadline wins: what the share would leave open is closed in time', async () => {
    const process = new Process(1000);
    await drain(process, { notice: 0, deadline: 10_000, budget: new Share(1) }, { now: () => process.now, sleep: process.sleep });
    const closes = closesOf(process);
    expect(closes.length).toBe(1000);
    expect(Math.max(...closes)).toBeLessThan(7000);
    expect(closes.filter((at) => at < 3700).length).toBeCloseTo(500, -2);
  });

  test('each is told before it is closed, and when: no earlier than the notice', async () => {
    const process = new Process(0);
    const told: number[] = [];
    const late: number[] = [];
    const notices: number[] = [];
    const sessions = Array.from({ length: 400 }, (_, index) => ({
      isOpen: true,
      announceDrain: (after: number) => {
        notices.push(after);
        told[index] = process.now + after;
      },
      close: () => void late.push(process.now - (told[index] ?? NaN)),
    }));
    await closeWithin(new Share(200), sessions, { available: 30_000, notice: 500 }, { now: () => process.now, sleep: process.sleep });
    expect(late.length).toBe(400);
    expect(Math.max(...notices)).toBeLessThan(510);
    for (const by of late) expect(Math.abs(by)).toBeLessThan(60);
    expect(Math.max(...told.map((at, index) => at - (told[index - 1] ?? at)))).toBeLessThan(60);
  });

  test('a process that stood still does not make up for it at once', async () => {
    const process = new Process(1000);
    let hasStood = false;
    const sleep = async (ms: number): Promise<void> => {
      await process.sleep(ms);
      if (hasStood || closesOf(process).length < 100) return;
      hasStood = true;
      process.now += 3000;
    };
    await closeWithin(new Share(100), process.sessions(), { available: 60_000, notice: 0 }, { now: () => process.now, sleep });
    const closes = closesOf(process);
    const atOnce = Math.max(...closes.map((from) => closes.filter((at) => at >= from && at < from + 500).length));
    expect(closes.length).toBe(1000);
    expect(atOnce).toBeLessThan(85);
  });
});
