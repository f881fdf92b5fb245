import { expect, test } from 'vitest';
import { PARSERS } from './fuzz/all.ts';
import { fuzz, FuzzFault } from './fuzz/parser.ts';

/** `npm run test:fuzz` feeds a million, of another seed each time. */
const COUNT = 4000;
const SEED = 1;

test.each(PARSERS)('whatever is written, a parser of $name reads it or tells what is wrong with it', (parser) => {
  expect(() => fuzz(parser, SEED, COUNT)).not.toThrow();
});

test('what a parser does not stand is told with what it was, and comes again with its seed', () => {
  const brittle = {
    name: 'brittle',
    examples: ['{"a":1}', '[1]'],
    words: ['"', '['],
    feed: (input: string): unknown => JSON.parse(input),
  };
  const faults = [1, 1, 2].map((seed) => {
    try {
      fuzz(brittle, seed, 1000);
      return 'none';
    } catch (error) {
      return error instanceof FuzzFault ? error.message : String(error);
    }
  });
  expect(faults[0]).toMatch(/^brittle, seed 1, input \d+: "/);
  expect(faults[1]).toBe(faults[0]);
  expect(faults[2]).not.toBe(faults[0]);
});
