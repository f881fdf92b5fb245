import { expect, test } from 'vitest';
import { Replacement } from '../../src/supervisor/replacement.ts';

test('each further death within a minute doubles the wait, and the fifth is the end', () => {
  const replacement = new Replacement();
  const verdicts = [0, 1000, 2000, 3000].map((at) => replacement.died(at));
  expect(verdicts).toEqual([100, 200, 400, 800].map((afterMs) => ({ kind: 'replace', afterMs })));
  expect(replacement.died(59_999)).toEqual({ kind: 'give-up', deaths: 5 });
});

test('deaths that are a minute old are forgotten: workers may die now and then for ever', () => {
  const replacement = new Replacement();
  for (let death = 0; death < 1000; death += 1) expect(replacement.died(death * 15_000).kind).toBe('replace');
  const quiet = new Replacement();
  quiet.died(0);
  expect(quiet.died(60_000)).toEqual({ kind: 'replace', afterMs: 100 });
});
