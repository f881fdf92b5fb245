import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { channelAddress, checkName, isName, isPrefix, processChannel } from '../src/names.ts';

const character = fc.constantFrom(...Array.from('ABCXYZabcxyz0189_:@-'));
const good = fc.array(fc.string({ unit: character, minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 9 }).map((levels) => levels.join('.'));

describe('names', () => {
  test('what the rule allows is a name', () => {
    fc.assert(fc.property(good, (name) => isName(name)));
  });

  test('one character that the rule does not know makes it no name, wherever it stands', () => {
    const foreign = fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }).filter((one) => !/[A-Za-z0-9_:@.-]/.test(one));
    fc.assert(
      fc.property(good, foreign, fc.nat(), (name, hostile, at) => {
        const place = at % (name.length + 1);
        expect(isName(name.slice(0, place) + hostile + name.slice(place))).toBe(false);
      }),
    );
  });

  test('dots stand between levels only', () => {
    fc.assert(
      fc.property(good, good, (a, b) => {
        expect([`.${a}`, `${a}.`, `${a}..${b}`].map(isName)).toEqual([false, false, false]);
      }),
    );
  });

  test('200 characters are a name, 201 are none, and the longest is judged at once', () => {
    expect(isName('x'.repeat(200))).toBe(true);
    expect(isName('x'.repeat(201))).toBe(false);
    const since = performance.now();
    for (const hostile of [`${'a.'.repeat(99)}!`, `${'a'.repeat(199)}!`, `${'a.'.repeat(500_000)}!`]) expect(() => channelAddress(`${hostile}!`)).toThrow();
    expect(performance.now() - since).toBeLessThan(200);
  });

  test('the error names the kind and says the rule', () => {
    expect(() => checkName('group', 'a b')).toThrow('group name "a b" is not allowed: a name is 1 to 200 ASCII letters');
    expect(() => checkName('room', null)).toThrow('room name of type null is not allowed');
  });

  test('in an error a name is short and printable ASCII', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 300 }).filter((name) => !isName(name)),
        (name) => {
          let message = '';
          try {
            checkName('room', name);
          } catch (error) {
            message = (error as Error).message;
          }
          expect(message).toMatch(/^[ -~]{1,700}$/);
        },
      ),
    );
  });
});

describe('prefixes', () => {
  test('one level of letters, digits, _ and - is one', () => {
    for (const prefix of ['busgate', 'a', 'A-1_b', 'x'.repeat(100)]) {
      expect(isPrefix(prefix), String(prefix)).toBe(true);
    }
  });

  test('anything else is none', () => {
    for (const prefix of ['', 'a.b', 'a:b', 'a@b', 'a b', 'a*', 'é', 'a\n', 'x'.repeat(101), 7, null]) {
      expect(isPrefix(prefix), String(prefix)).toBe(false);
    }
  });
});

describe('channels', () => {
  test('what newChannel makes names its process, a plain name is a worker queue', () => {
    expect(channelAddress(processChannel('chat.room', 'p1', '7'))).toEqual({ process: 'p1' });
    expect(channelAddress('chat.room')).toEqual({ queue: 'chat.room' });
  });

  test('anything else is INVALID_NAME', () => {
    for (const name of ['!', 'a!', '!a', 'a!b', 'a.b!', 'a.b!c.d', 'a.b!c!d', '.a!b', 'a..b!c', 'a.b !c', 'a.b!c\n', 7, undefined]) {
      expect(() => channelAddress(name), String(name)).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    }
  });

  test('a prefix that leaves no place for the id is INVALID_NAME', () => {
    expect(processChannel('x'.repeat(190), 'p', '1')).toHaveLength(194);
    expect(() => processChannel('x'.repeat(198), 'p', '1')).toThrow('is too long');
  });
});
