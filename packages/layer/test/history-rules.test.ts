import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { faultOfRule, historyRule, matchesRooms, type HistoryRule } from '../src/history-rules.ts';

describe('patterns of rooms', () => {
  test('cover a room level by level', () => {
    for (const [pattern, room, matches] of [
      ['chat', 'chat', true],
      ['chat', 'chat.a', false],
      ['chat', 'Chat', false],
      ['chat.a', 'chat', false],
      ['*', 'chat', true],
      ['*', 'chat.a', false],
      ['chat.*', 'chat.a', true],
      ['chat.*', 'chat', false],
      ['chat.*', 'chat.a.b', false],
      ['chat.*.end', 'chat.a.end', true],
      ['chat.*.end', 'chat.a.b', false],
      ['*.*', 'a.b', true],
      ['>', 'a', true],
      ['>', 'a.b.c', true],
      ['chat.>', 'chat.a', true],
      ['chat.>', 'chat.a.b', true],
      ['chat.>', 'chat', false],
      ['chat.>', 'chats.a', false],
      ['*.>', 'a', false],
      ['*.>', 'a.b', true],
    ] as const) {
      expect(matchesRooms(pattern, room), `${pattern} on ${room}`).toBe(matches);
    }
  });

  test('judge as a regular expression would', () => {
    const level = fc.constantFrom('a', 'b', 'ab');
    const pattern = fc.tuple(fc.array(fc.oneof(level, fc.constant('*')), { minLength: 1, maxLength: 4 }), fc.boolean());
    fc.assert(
      fc.property(pattern, fc.array(level, { minLength: 1, maxLength: 5 }), ([levels, rest], room) => {
        const source = [...levels.map((part) => (part === '*' ? '[^.]+' : part)), ...(rest ? ['.+'] : [])].join('\\.');
        expect(matchesRooms([...levels, ...(rest ? ['>'] : [])].join('.'), room.join('.'))).toBe(new RegExp(`^${source}$`).test(room.join('.')));
      }),
    );
  });

  test('the first rule that matches wins, the default is none', () => {
    const rules = [
      { rooms: 'a.b', size: 1, ageMs: 1 },
      { rooms: 'a.>', size: 2, ageMs: 1 },
    ];
    expect(['a.b', 'a.c', 'b'].map((room) => historyRule(rules, room)?.size)).toEqual([1, 2, undefined]);
  });
});

describe('what is wrong with a rule', () => {
  test('nothing, whatever levels stand for many', () => {
    for (const rooms of ['a', 'a.*', '*.a', '>', '*.>', 'a.*.b.>']) {
      expect(faultOfRule({ rooms, size: 1, ageMs: 1 }), rooms).toBeUndefined();
    }
  });

  test('said in words, with what is allowed', () => {
    for (const [rule, mention] of [
      [{ rooms: '', size: 1, ageMs: 1 }, 'rooms must be'],
      [{ rooms: 'a.>.b', size: 1, ageMs: 1 }, 'rooms must be'],
      [{ rooms: 'a*', size: 1, ageMs: 1 }, 'rooms must be'],
      [{ rooms: 'a..b', size: 1, ageMs: 1 }, 'rooms must be'],
      [{ rooms: 7, size: 1, ageMs: 1 }, 'rooms must be'],
      [{ rooms: 'a', size: 0, ageMs: 1 }, 'size must be 1 to 1000000'],
      [{ rooms: 'a', size: 1.5, ageMs: 1 }, 'size must be 1 to 1000000'],
      [{ rooms: 'a', size: 1_000_001, ageMs: 1 }, 'size must be 1 to 1000000'],
      [{ rooms: 'a', ageMs: 1 }, 'size must be 1 to 1000000'],
      [{ rooms: 'a', size: 1, ageMs: 0 }, 'ageMs must be'],
      [{ rooms: 'a', size: 1, ageMs: '5m' }, 'ageMs must be'],
      [null, 'a rule must be {rooms, size, ageMs}'],
      ['a', 'a rule must be {rooms, size, ageMs}'],
    ] as const) {
      expect(faultOfRule(rule as HistoryRule), mention).toContain(mention);
    }
  });
});
