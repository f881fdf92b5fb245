import { describe, expect, test } from 'vitest';
import { RefusedTopics } from '../src/driver/refused-topics.ts';

class Topic {
  gaps = 0;
  readonly sink = { gap: () => (this.gaps += 1) };
}

function refused() {
  const lines: Record<string, unknown>[] = [];
  const faults: string[] = [];
  const logger = { info() {}, warn() {}, error: (_: string, fields?: Record<string, unknown>) => lines.push(fields ?? {}) };
  const topics = new RefusedTopics<Topic>(logger, (kind, reason) => faults.push(`${kind}: ${reason}`));
  const add = (...added: readonly Topic[]): void => topics.add(added.map((topic, index) => ({ topic, names: [`t${index}`], reason: 'no' })));
  const isDue = (looks: number): boolean[] => Array.from({ length: looks }, () => topics.look());
  return { topics, lines, faults, add, isDue };
}

describe('topics that are refused', () => {
  test('each is told a gap, and all are one fault and one line, which names some', () => {
    const { lines, faults, add } = refused();
    const many = Array.from({ length: 25 }, () => new Topic());
    add(...many);
    expect(many.map(({ gaps }) => gaps)).toEqual(many.map(() => 1));
    expect(faults).toEqual(['refused: no']);
    expect(lines).toEqual([{ topics: Array.from({ length: 20 }, (_, index) => `t${index}`), more: 5, reason: 'no' }]);
  });

  test('what is known is told nothing again, until it was permitted', () => {
    const { topics, faults, add } = refused();
    const [known, fresh] = [new Topic(), new Topic()];
    add(known);
    add(known);
    expect(faults).toHaveLength(1);
    add(known, fresh);
    expect([known.gaps, fresh.gaps, faults.length]).toEqual([1, 1, 2]);
    topics.delete(known);
    add(known);
    expect([known.gaps, faults.length]).toEqual([2, 3]);
  });

  test('one that is only in the wrong place is told nothing', () => {
    const { topics, faults, add } = refused();
    const topic = new Topic();
    topics.addUntold(topic);
    add(topic);
    expect([topic.gaps, faults.length, topics.all]).toEqual([0, 0, [topic]]);
  });

  test('they are tried again ever less often, and from the beginning once all were permitted', () => {
    const { topics, add, isDue } = refused();
    expect(isDue(3)).toEqual([false, false, false]);
    const topic = new Topic();
    add(topic);
    expect(isDue(7)).toEqual([true, false, true, false, false, false, true]);
    const due = isDue(200).flatMap((is, at) => (is ? [at] : []));
    expect(due).toEqual([7, 23, 55, 87, 119, 151, 183]);
    topics.delete(topic);
    add(topic);
    expect(isDue(2)).toEqual([true, false]);
  });
});
