import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatPosition, parsePosition } from '../src/position.ts';

describe('positions', () => {
  test('are read as they were written', () => {
    const epoch = fc.string({ unit: fc.constantFrom(...Array.from('AZaz09_-')), minLength: 1, maxLength: 64 });
    fc.assert(
      fc.property(epoch, fc.maxSafeNat(), (name, offset) => {
        expect(parsePosition(formatPosition({ epoch: name, offset }))).toEqual({ epoch: name, offset });
      }),
    );
  });

  test.each([
    '',
    ':',
    'a',
    'a:',
    ':1',
    'a:-1',
    'a:01',
    'a:1.5',
    'a:1e3',
    'a:1 ',
    ' a:1',
    'a:1\n',
    'a:b:1',
    'é:1',
    `${'a'.repeat(65)}:1`,
    'a:9007199254740992',
    'a:99999999999999999999',
    7,
    null,
  ])('%j is none', (text) => {
    expect(parsePosition(text)).toBeUndefined();
  });

  test('whatever is read is written as it was', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const at = parsePosition(text);
        expect(at === undefined ? text : formatPosition(at)).toBe(text);
      }),
    );
  });
});
