import { Random } from '../../../layer/src/conformance/random.ts';

/** Longer inputs are cut: what a parser does with length it shows long before. */
const MAX_LENGTH = 4096;
/** Characters that mean something to one parser or another, and some that mean nothing to any. */
const CHARACTERS = Array.from('/?#%&=:;,.@![]{}()<>"\'\\ \t\r\n\0\u007f-_+*~^|`$09aAzZeE\u00e9\u20ac\ud800\udfff\ufeff\u2028\u202e');
/** In one of so many inputs something is repeated until it nests deeply or is long. */
const RARELY = 64;
const MAX_CHANGES = 4;

type Change = (text: string, inputs: Inputs) => string;

/** Any number of inputs, the same ones for the same seed: examples, each changed at random in a few places. */
export class Inputs {
  readonly random: Random;
  readonly #examples: readonly string[];
  readonly #words: readonly string[];

  /** `words`: what inputs consist of, to be put in anywhere. */
  constructor(seed: number, examples: readonly string[], words: readonly string[]) {
    this.random = new Random(seed);
    this.#examples = examples;
    this.#words = words;
  }

  next(): string {
    let text = this.example();
    for (let changes = this.random.below(MAX_CHANGES + 1); changes > 0; changes -= 1) text = this.random.pick(CHANGES)(text, this);
    return text.slice(0, MAX_LENGTH);
  }

  example(): string {
    return this.random.pick(this.#examples);
  }

  word(): string {
    return this.random.below(2) === 0 ? this.random.pick(this.#words) : this.random.pick(CHARACTERS);
  }

  /** Where something in `text` begins, and where it ends. */
  span(text: string): readonly [from: number, to: number] {
    const from = this.random.below(text.length + 1);
    return [from, Math.min(text.length, from + this.random.below(12))];
  }
}

const CHANGES: readonly Change[] = [
  (text, inputs) => replace(text, inputs.span(text), ''),
  (text, inputs) => replace(text, inputs.span(text), inputs.word()),
  (text, inputs) => insert(text, inputs, inputs.word()),
  (text, inputs) => insert(text, inputs, text.slice(...inputs.span(text))),
  (text, inputs) => text.slice(0, inputs.random.below(text.length + 1)),
  (text, inputs) => text.slice(0, inputs.random.below(text.length + 1)) + inputs.example(),
  (text, inputs) => insert(text, inputs, inputs.word().repeat(inputs.random.below(RARELY) === 0 ? inputs.random.below(MAX_LENGTH) : 2)),
];

function insert(text: string, inputs: Inputs, what: string): string {
  const at = inputs.random.below(text.length + 1);
  return replace(text, [at, at], what);
}

function replace(text: string, [from, to]: readonly [number, number], by: string): string {
  return text.slice(0, from) + by + text.slice(to);
}
