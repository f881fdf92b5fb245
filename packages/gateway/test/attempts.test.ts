import { describe, expect, test } from 'vitest';
import { Attempts } from '../src/auth/attempts.ts';

const MOST = 3;

/** Tokens that are checked when the test says so, by a clock that it turns. */
class Bench {
  time = 0;
  readonly attempts = new Attempts(MOST, () => this.time);
  /** Checks that have begun and not ended, each by what ends it. */
  readonly underWay: ((isGood: boolean) => void)[] = [];
  begun = 0;
  readonly answers: (string | undefined)[] = [];

  /** So many tokens of one address, at the same moment. */
  async show(count: number, address = '192.0.2.1'): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      void this.attempts.look(address, () => this.#check(address)).then((answer) => this.answers.push(answer));
    }
    await settled();
  }

  /** The oldest checks end. */
  async end(isGood: boolean, count = 1): Promise<void> {
    for (const end of this.underWay.splice(0, count)) end(isGood);
    await settled();
  }

  async #check(address: string): Promise<string> {
    this.begun += 1;
    const isGood = await new Promise<boolean>((resolve) => this.underWay.push(resolve));
    if (!isGood) this.attempts.failed(address);
    return isGood ? 'good' : 'bad';
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('bad tokens of an address', () => {
  test('that come at the same moment are checked up to the bound, and the others are refused without', async () => {
    const bench = new Bench();
    await bench.show(1000);
    expect([bench.begun, bench.answers.length]).toEqual([MOST, 0]);
    await bench.end(false, MOST);
    expect(bench.begun).toBe(MOST);
    const counts = ['bad', 'rate'].map((answer) => bench.answers.filter((one) => one === answer).length);
    expect(counts).toEqual([MOST, 1000 - MOST]);
  });

  test('are refused for the rest of the second, and looked at in the next one', async () => {
    const bench = new Bench();
    await bench.show(MOST);
    await bench.end(false, MOST);
    bench.time = 999;
    await bench.show(1);
    expect(bench.answers.at(-1)).toBe('rate');
    bench.time = 1000;
    await bench.show(1);
    await bench.end(true);
    expect(bench.answers.at(-1)).toBe('good');
  });

  test('leave those of another one alone, and an IPv6 one is all of its /64', async () => {
    const bench = new Bench();
    await bench.show(MOST, '2001:db8::1');
    await bench.end(false, MOST);
    await bench.show(1, '2001:db8::2');
    expect(bench.answers.at(-1)).toBe('rate');
    await bench.show(1, '2001:db8:0:1::1');
    await bench.end(true);
    expect(bench.answers.at(-1)).toBe('good');
  });
});

describe('good tokens of an address', () => {
  test('wait for their turn where more come at the same moment than may be bad, and none is refused', async () => {
    const bench = new Bench();
    await bench.show(1000);
    while (bench.underWay.length > 0) {
      expect(bench.underWay.length).toBeLessThanOrEqual(MOST);
      await bench.end(true, MOST);
    }
    expect(bench.answers).toEqual(Array(1000).fill('good'));
  });

  test('behind bad ones are checked as long as there may be more of these', async () => {
    const bench = new Bench();
    await bench.show(10);
    await bench.end(false, MOST - 1);
    expect(bench.underWay.length).toBe(1);
    await bench.end(true);
    expect(bench.underWay.length).toBe(1);
    expect(bench.answers).toEqual([...Array(MOST - 1).fill('bad'), 'good']);
  });

  test('that wait are checked in the next second, where the one before had its bad ones', async () => {
    const bench = new Bench();
    await bench.show(MOST + 2);
    await bench.end(false, MOST - 1);
    bench.time = 1000;
    await bench.end(true);
    expect(bench.underWay.length).toBe(2);
    await bench.end(true, 2);
    expect(bench.answers.filter((answer) => answer === 'good')).toHaveLength(3);
  });
});

test('a check that fails gives back its turn, and nothing is kept of addresses that show nothing any more', async () => {
  const bench = new Bench();
  for (let index = 0; index < MOST; index += 1) {
    await expect(bench.attempts.look('192.0.2.1', () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  }
  for (let address = 0; address < 100; address += 1) {
    await bench.show(1, `192.0.2.${address}`);
    await bench.end(address % 2 === 0);
  }
  expect(bench.attempts.size).toBe(50);
  bench.time = 1000;
  await bench.show(1, '198.51.100.1');
  await bench.end(true);
  expect(bench.attempts.size).toBe(0);
});
