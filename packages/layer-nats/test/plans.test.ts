import fc from 'fast-check';
import { matchesRooms, type HistoryRule } from '@busgate/layer/driver';
import { describe, expect, test } from 'vitest';
import { planHistories } from '../src/plans.ts';
import { Subjects } from '../src/subjects.ts';

const subjects = new Subjects('busgate');
const rule = (rooms: string, size = 10, ageMs = 1000): HistoryRule => ({ rooms, size, ageMs });

describe('the streams of a list of rules', () => {
  test('rules that cover each other share a stream, as large as the largest', () => {
    const rules = [rule('a.b', 2, 900_000), rule('a.*', 5, 1000), rule('z.>', 1)];
    const plans = planHistories(rules, subjects);
    expect(plans.get(rules[0] as HistoryRule)).toBe(plans.get(rules[1] as HistoryRule));
    expect(plans.get(rules[0] as HistoryRule)).toMatchObject({
      subjects: ['busgate.room.a.*', `busgate.probe.${subjects.roomStream('a.*')}`],
      maxPerSubject: 6,
      maxAgeMs: 1_800_000,
    });
    expect(plans.get(rules[2] as HistoryRule)).toMatchObject({
      subjects: ['busgate.room.z.>', `busgate.probe.${subjects.roomStream('z.>')}`],
      maxPerSubject: 2,
    });
  });

  test('messages stay for five minutes at least, since ids go with them', () => {
    const brief = rule('a', 10, 1000);
    expect(planHistories([brief], subjects).get(brief)).toMatchObject({ maxAgeMs: 300_000, remembersIdsMs: 300_000 });
  });

  test('whatever the rules, each room is captured by at most one stream, the one of its rule', () => {
    const level = fc.constantFrom('a', 'b', '*');
    const pattern = fc
      .tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([levels, open]) => [...levels, ...(open ? ['>'] : [])].join('.'));
    const room = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 4 }).map((levels) => levels.join('.'));
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1, maxLength: 4 }), fc.array(room, { minLength: 5, maxLength: 20 }), (patterns, rooms) => {
        const rules = patterns.map((text) => rule(text));
        let plans: ReturnType<typeof planHistories>;
        try {
          plans = planHistories(rules, subjects);
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_OPTION' });
          return;
        }
        for (const name of rooms) {
          const first = rules.find(({ rooms: text }) => matchesRooms(text, name));
          const capturing = [...new Set(plans.values())].filter((plan) =>
            plan.subjects.some((subject) => matchesRooms(subject.slice('busgate.room.'.length), name)),
          );
          expect(capturing).toEqual(first === undefined ? [] : [plans.get(first)]);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('names on a server', () => {
  test('the prefix in capitals, and another one for another prefix', () => {
    expect(new Subjects('busgate').streams).toBe('BUSGATE');
    expect(new Subjects('Busgate').streams).toMatch(/^BUSGATE-[0-9a-f]{12}$/);
  });

  test('a consumer is q_ and the base64url of its queue, while that is short enough', () => {
    expect(subjects.consumer('app')).toBe('q_YXBw');
    expect(subjects.consumer('x'.repeat(200))).toMatch(/^q_[0-9a-f]{64}$/);
    expect(subjects.consumer('x'.repeat(189)).length).toBeLessThanOrEqual(255);
  });
});
