import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LineSplitter } from '../src/cli/lines.ts';

function split(...pieces: readonly (string | Buffer)[]): string[] {
  const splitter = new LineSplitter();
  const lines = [...pieces.flatMap((piece) => splitter.push(Buffer.from(piece as string))), ...splitter.end()];
  return lines.map((line) => line?.toString('latin1') ?? 'too long');
}

test.each([
  ['a\nb\n', ['a', 'b']],
  ['a\nb', ['a', 'b']],
  ['a\r\nb\r\n', ['a', 'b']],
  ['\n\r\n\n', ['', '', '']],
  ['', []],
  ['a\rb\n', ['a\rb']],
  ['a\r', ['a\r']],
  ['\0\n', ['\0']],
])('%j', (input, lines) => {
  expect(split(input)).toEqual(lines);
});

test('bytes that are no text come through as they are', () => {
  expect(split(Buffer.from([0xff, 0xfe, 0x0a, 0xc3]))).toEqual(['\u00ff\u00fe', '\u00c3']);
});

test('a line leaves with the piece that ends it', () => {
  const splitter = new LineSplitter();
  expect(splitter.push(Buffer.from('a\nb'))).toEqual([Buffer.from('a')]);
  expect(splitter.push(Buffer.from('c\n'))).toEqual([Buffer.from('bc')]);
  expect(splitter.end()).toEqual([]);
});

test('a line without end does not fill the memory, and the next one is whole', () => {
  const splitter = new LineSplitter();
  const piece = Buffer.alloc(16 * 1024 * 1024, 'x');
  for (let index = 0; index < 5; index += 1) expect(splitter.push(piece)).toEqual([]);
  expect(splitter.push(Buffer.from('\nnext\n'))).toEqual([undefined, Buffer.from('next')]);
});

test('however the input is cut, the lines are the same', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('\n', '\r', 'a', 'é', '\0')), fc.array(fc.nat(20)), (letters, cuts) => {
      const whole = Buffer.from(letters.join(''));
      const pieces: Buffer[] = [];
      let from = 0;
      for (const cut of cuts) {
        pieces.push(whole.subarray(from, from + cut));
        from += cut;
      }
      pieces.push(whole.subarray(from));
      expect(split(...pieces)).toEqual(split(whole));
    }),
  );
});
