import { describe, expect, test } from 'vitest';
import type { LayerOptions } from '../src/contract.ts';
import { resolveOptions } from '../src/options.ts';

describe('options', () => {
  test('have the defaults of the design', () => {
    expect(resolveOptions({})).toMatchObject({
      prefix: 'busgate',
      capacity: 100,
      expiryMs: 60_000,
      groupExpiryMs: 86_400_000,
      history: [],
      maxMessageBytes: 1_048_576,
    });
  });

  test('the smallest and the largest values are allowed', () => {
    expect(resolveOptions({ capacity: 1, expiryMs: 1, groupExpiryMs: 2_147_483_647 })).toMatchObject({ capacity: 1, expiryMs: 1 });
  });

  test('anything else is INVALID_OPTION, naming the option and what it may be', () => {
    for (const [options, mention] of [
      [{ capacty: 3 }, 'option capacty is unknown; there are prefix, capacity, expiryMs, groupExpiryMs, history, maxMessageBytes, traces, logger'],
      [{ capacity: undefined }, 'option capacity is undefined'],
      [{ capacity: 0 }, 'option capacity must be a whole number of messages from 1 to 1000000, not 0'],
      [{ capacity: 1.5 }, 'not 1.5'],
      [{ capacity: '100' }, 'option capacity must be'],
      [{ expiryMs: Number.NaN }, 'option expiryMs must be a whole number of milliseconds from 1 to 2147483647, not NaN'],
      [{ expiryMs: 2_147_483_648 }, 'option expiryMs must be'],
      [{ groupExpiryMs: -1 }, 'option groupExpiryMs must be'],
      [{ maxMessageBytes: 0 }, 'option maxMessageBytes must be a whole number of bytes'],
      [{ traces: 'yes' }, 'option traces must be true or false, not yes'],
      [{ history: {} }, 'history must be a list of {rooms, size, ageMs}'],
      [{ history: [{ rooms: 'a', size: 0, ageMs: 1 }] }, 'history: size must be 1 to 1000000'],
      [{ history: [null] }, 'history: a rule must be'],
      [{ logger: {} }, 'option logger must have the methods info, warn and error; it has no info'],
      [{ logger: { info() {}, error() {}, warn: 'no' } }, 'it has no warn'],
      [{ logger: null }, 'option logger must have'],
      [5, 'options must be an object, not 5'],
      [null, 'options must be an object, not null'],
    ] as const) {
      expect(() => resolveOptions(options as LayerOptions), mention).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(mention) as string }),
      );
    }
  });

  test('a prefix that is no single level is INVALID_NAME and says what is allowed', () => {
    expect(() => resolveOptions({ prefix: 'a:b' })).toThrow(
      expect.objectContaining({ code: 'INVALID_NAME', message: expect.stringContaining('letters, digits and _ -') as string }),
    );
  });
});
