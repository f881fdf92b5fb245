import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readElement } from '../src/element.ts';

const read = (text: string): [string, number | undefined] => {
  const { payload, expiresAt } = readElement(Buffer.from(text));
  return [Buffer.from(payload).toString(), expiresAt];
};

describe('readElement', () => {
  test.each([
    ['{"a":1,"__expires":17}', '{"a":1}', 17],
    ['{"__expires":17}', '{}', 17],
    ['{"__expires":17,"a":1}', '{"a":1}', 17],
    ['{ "a" : 1, "__expires" : 17 }', '{"a":1}', 17],
    ['{"a":1}', '{"a":1}', undefined],
    ['{"a":{"__expires":17}}', '{"a":{"__expires":17}}', undefined],
    ['{"a":"x,\\"__expires\\":17}"}', '{"a":"x,\\"__expires\\":17}"}', undefined],
    ['{"x,\\"__expires":17}', '{"x,\\"__expires":17}', undefined],
    ['not json "__expires"', 'not json "__expires"', undefined],
    ['', '', undefined],
  ])('%s', (element, payload, expiresAt) => {
    expect(read(element)).toEqual([payload, expiresAt]);
  });

  test('whatever a message holds, its own bytes come out', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(), (message, ends) => {
        const text = JSON.stringify(message);
        const comma = text === '{}' ? '' : ',';
        expect(read(`${text.slice(0, -1)}${comma}"__expires":${ends}}`)).toEqual([text, ends]);
      }),
    );
  });
});
