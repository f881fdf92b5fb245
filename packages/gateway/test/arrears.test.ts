import { describe, expect, test } from 'vitest';
import { Arrears } from '../src/hub/arrears.ts';
import { roomRules } from '../src/config/room-rules.ts';
import { keyOf, type Loss } from '../src/hub/loss.ts';

const NEWEST: Loss = { slow: 'newest', key: undefined };
const OLDEST: Loss = { slow: 'oldest', key: undefined };
const LATEST: Loss = { slow: 'latest', key: undefined };
const BY_KEY: Loss = { slow: 'latest', key: 'k' };

describe('what waits', () => {
  /** Adds messages `a1` (of the key `a`) of equal size, of which three fit, and tells what leaves then. */
  function leaving(loss: Loss, ...names: string[]): string[] {
    const arrears = new Arrears(loss);
    for (const name of names) {
      if (name === 'gap') arrears.addGap(Buffer.from('gap'));
      else arrears.add({ frame: Buffer.from(name), key: loss.key === undefined ? '' : name.charAt(0) }, 3 * (2 + 128));
    }
    const left: string[] = [];
    for (let next = arrears.take(); next !== undefined; next = arrears.take())
      left.push('missed' in next ? `-${next.missed}` : Buffer.from('gap' in next ? next.gap : next.message).toString());
    expect(arrears.isEmpty && arrears.messages === 0 && arrears.bytes === 0).toBe(true);
    return left;
  }

  test.each([
    [NEWEST, ['a1', 'a2', 'a3', 'a4', 'a5'], ['a1', 'a2', 'a3', '-2']],
    [OLDEST, ['a1', 'a2', 'a3', 'a4', 'a5'], ['-2', 'a3', 'a4', 'a5']],
    [LATEST, ['a1', 'b2', 'a3'], ['-2', 'a3']],
    [BY_KEY, ['a1', 'b2', 'a3', 'c4', 'b5'], ['-2', 'a3', 'c4', 'b5']],
    [BY_KEY, ['a1', 'b2', 'c3', 'b4'], ['a1', '-1', 'c3', 'b4']],
    [BY_KEY, ['a1', 'b2', 'c3', 'd4'], ['-1', 'b2', 'c3', 'd4']],
    [OLDEST, ['a1', 'gap', 'a2', 'a3', 'a4', 'a5', 'gap'], ['-2', 'gap', 'a3', 'a4', 'a5', 'gap']],
    [BY_KEY, ['gap', 'a1', 'gap', 'a2'], ['-1', 'gap', 'a2']],
    [NEWEST, ['gap'], ['gap']],
  ])('%j of %j leaves %j', (loss, names, expected) => {
    expect(leaving(loss, ...names)).toEqual(expected);
  });

  test('is one message at least, however large', () => {
    for (const loss of [NEWEST, OLDEST, LATEST]) {
      const arrears = new Arrears(loss);
      for (const fill of ['x', 'y']) arrears.add({ frame: Buffer.alloc(5000, fill), key: '' }, 100);
      expect([arrears.messages, arrears.bytes]).toEqual([1, 5000]);
    }
  });

  test.each([
    ['{"k":"a"}', '"a"'],
    ['{"k":1}', '1'],
    ['{"k":true,"z":{}}', 'true'],
    ['{"k":{"a":1}}', ''],
    ['{"k":null}', ''],
    ['{}', ''],
    ['[1]', ''],
    ['null', ''],
    ['k', ''],
    ['{"__proto__":{"k":"a"}}', ''],
  ])('the key of %s is %j, and none where none is asked for', (payload, expected) => {
    expect([keyOf(Buffer.from(payload), 'k'), keyOf(Buffer.from(payload), undefined)]).toEqual([expected, '']);
  });

  test('a message that nests deeply has its key', () => {
    expect(keyOf(Buffer.from(`{"k":"a","d":${'['.repeat(5000)}${']'.repeat(5000)}}`), 'k')).toBe('"a"');
  });
});

describe('a rule', () => {
  function read(rule: object): { rules: unknown; faults: string[] } {
    const faults: string[] = [];
    const rules = roomRules.read([rule], ({ at = '', must }) => faults.push(`${at} ${must}`));
    return { rules: faults.length === 0 ? rules : undefined, faults };
  }

  test('that is read and written says the same', () => {
    for (const rule of [
      { rooms: 'a.>', slow: 'newest' },
      { rooms: 'b', slow: 'latest', key: 'k' },
      { rooms: 'c', slow: 'latest' },
    ]) {
      const { rules } = read(rule);
      expect(roomRules.write(rules as never)).toEqual([rule]);
    }
  });

  test.each([
    [{ rooms: 'a', slow: 'never' }, '.slow'],
    [{ slow: 'close' }, '.rooms'],
    [{ rooms: 'a', key: 'k' }, '.key'],
    [{ rooms: 'a', slow: 'oldest', key: 'k' }, '.key'],
    [{ rooms: 'a', slow: 'latest', key: '' }, '.key'],
  ])('%j is refused for its %s, with what would do', (rule, at) => {
    expect(read(rule).faults).toEqual([expect.stringContaining(at)]);
  });
});
