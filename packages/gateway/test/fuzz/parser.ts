import type { Random } from '../../../layer/src/conformance/random.ts';
import { Inputs } from './inputs.ts';

/** A parser of what others send, as a fuzzer sees it. */
export interface FuzzedParser {
  readonly name: string;
  readonly examples: readonly string[];
  /** What inputs consist of. */
  readonly words: readonly string[];
  /** Feeds an input, chance as it is given. Throws where the parser does, and where what it says of the input cannot be. */
  readonly feed: (input: string, random: Random) => void;
}

/** What a parser did not stand, and how to see it again. */
export class FuzzFault extends Error {
  override readonly name = 'FuzzFault';

  constructor(parser: string, seed: number, count: number, input: string, cause: unknown) {
    super(`${parser}, seed ${seed}, input ${count}: ${JSON.stringify(input.slice(0, 1000))}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

/**
 * Feeds so many inputs.
 * @throws FuzzFault for the first one that the parser does not stand
 */
export function fuzz({ name, examples, words, feed }: FuzzedParser, seed: number, count: number): void {
  const inputs = new Inputs(seed, examples, words);
  for (let fed = 0; fed < count; fed += 1) {
    const input = inputs.next();
    try {
      feed(input, inputs.random);
    } catch (error) {
      throw new FuzzFault(name, seed, fed, input, error);
    }
  }
}

/** @throws Error where it does not hold */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`not so: ${what}`);
}
