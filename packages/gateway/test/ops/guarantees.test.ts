import { type ChannelLayer, matchesRooms } from '@busgate/layer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import type { ApiRequest } from '../../src/ops/api.ts';
import { guaranteesCall } from '../../src/ops/calls/guarantees.ts';

describe('guarantees by rules of rooms', () => {
  const layer = { status: { state: 'connected', since: new Date(0) }, capabilities: { roomOrder: 'total', history: true } } as unknown as ChannelLayer;

  async function rows(config: string): Promise<{ rooms: string; loss: { holds: string; why: string }; history: { holds: { size: number } | null } }[]> {
    const argv = ['--config', 'b.yaml'];
    const yaml = `{${config}, routes: [{path: /s, kind: multiplex, join: anyone, publish: anyone}], auth: {http: {url: "http://app/"}}}`;
    const answer = await guaranteesCall(loadConfig({ argv, env: {}, readFile: () => yaml, descriptors: 1000 }), layer).serve({} as ApiRequest);
    return (answer as { guarantees: Awaited<ReturnType<typeof rows>> }).guarantees;
  }

  test('say what is lost where rooms of a history, and those without one, have a rule', async () => {
    const found = await rows(`history: [{rooms: "a.>", size: 7, age: 60s}],
      rooms: [{rooms: "*.new", slow: newest}, {rooms: "a.>", slow: latest, key: id}, {rooms: "user.{sub}.>", join: user, slow: oldest}, {rooms: "user.*.>", slow: newest}]`);
    expect(found.map(({ rooms, loss, history }) => [rooms, loss.holds, history.holds?.size])).toEqual([
      ['a.new', 'newest', 7],
      ['a.>', 'latest', 7],
      ['*.new', 'newest', undefined],
      ['user.{sub}.>', 'oldest', undefined],
      ['>', 'close', undefined],
    ]);
    expect(found[1]?.loss.why).toContain('of each id');
  });

  test('the first row that covers a room says what holds for it', async () => {
    const level = fc.constantFrom('a', 'b', '*');
    const pattern = fc.tuple(fc.array(level, { maxLength: 3 }), fc.constantFrom('a', 'b', '*', '>')).map(([levels, last]) => [...levels, last].join('.'));
    const rule = fc.record({ rooms: pattern, slow: fc.constantFrom('close', 'newest', 'oldest', 'latest') });
    const room = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 4 }).map((levels) => levels.join('.'));
    await fc.assert(
      fc.asyncProperty(fc.array(pattern, { maxLength: 3 }), fc.array(rule, { maxLength: 4 }), fc.array(room), async (kept, rules, names) => {
        const history = kept.map((rooms, index) => ({ rooms, size: index + 1, age: '60s' }));
        const found = await rows(`history: ${JSON.stringify(history)}, rooms: ${JSON.stringify(rules)}`);
        for (const name of names) {
          const row = found.find(({ rooms }) => matchesRooms(rooms, name));
          const size = history.find(({ rooms }) => matchesRooms(rooms, name))?.size;
          const slow = rules.find(({ rooms }) => matchesRooms(rooms, name))?.slow ?? 'close';
          expect([row?.history.holds?.size, row?.loss.holds]).toEqual([size, slow]);
        }
      }),
      { numRuns: 200 },
    );
  });
});
