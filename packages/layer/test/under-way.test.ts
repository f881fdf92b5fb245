import { expect, test } from 'vitest';
import { UnderWay } from '../src/driver/under-way.ts';

test('calls are bounded, however small they are', () => {
  const underWay = new UnderWay();
  for (let n = 0; n < 65_536; n += 1) {
    expect(underWay.full).toBeUndefined();
    underWay.begin(0);
  }
  expect(underWay.full).toMatch(/65536 calls/);
  underWay.end(0);
  expect(underWay.full).toBeUndefined();
});

test('bytes are bounded, however few calls they are of', () => {
  const underWay = new UnderWay();
  for (let n = 0; n < 65; n += 1) underWay.begin(1_048_576);
  expect(underWay.full).toMatch(/68157440 bytes/);
  underWay.end(2 * 1_048_576, 2);
  expect(underWay.full).toBeUndefined();
});
