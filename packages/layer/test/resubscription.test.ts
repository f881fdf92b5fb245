import { expect, test } from 'vitest';
import { Resubscription } from '../src/driver/resubscription.ts';

function resubscription(): { readonly told: string[]; readonly made: Resubscription } {
  const told: string[] = [];
  return { told, made: new Resubscription({ gap: () => told.push('GAP') }) };
}

test('what is kept waits for the gap, and follows it in order', () => {
  const { told, made } = resubscription();
  made.keep(() => told.push('a'));
  made.keep(() => told.push('b'));
  expect(told).toEqual([]);
  made.tell();
  expect(told).toEqual(['GAP', 'a', 'b']);
});

test('the gap is told once', () => {
  const { told, made } = resubscription();
  made.tell();
  made.tell();
  expect(told).toEqual(['GAP']);
});

test('of too many the newest are kept: nothing is missing after the gap', () => {
  const { told, made } = resubscription();
  for (let n = 1; n <= 2500; n += 1) made.keep(() => told.push(`${n}`));
  made.tell();
  expect(told).toEqual(['GAP', ...Array.from({ length: 1000 }, (_, index) => `${index + 1501}`)]);
});
