import { openLayer } from '@busgate/layer';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { formatCursor } from '../src/hub/cursor.ts';
import { TestGateway } from './support/gateway.ts';
import { type Asked, outcomeOf, requestOf, type Way, WAYS } from './support/ways.ts';

/**
 * Where a client says that it stands, by each form of a request: what no gateway can have written is refused where the client's program says it, and a gap where its browser
 * brings it back by itself; what some gateway may have written, but this one cannot go on from, is a gap in any case.
 */

const HISTORY = [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }];
let gateway: TestGateway;
let rooms = 0;
let room = '';
/** Of the messages of the room. */
let positions: string[] = [];

beforeAll(async () => {
  gateway = await TestGateway.start([], HISTORY);
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
});

beforeEach(async () => {
  rooms += 1;
  room = `kept.${rooms}`;
  positions = await gateway.publish(room, 'one', 'two', 'three');
});

const cursorAt = (position: string, name = room): string => formatCursor(new Map([[name, position]]));
/** As the form of a request has it: of one room it is the position itself. */
const placeAt = (way: Way, position: string): string => (way.form === 'room' ? position : cursorAt(position));
/** A gap, and after it what is still kept, where there is one answer; a stream goes on from now. */
const gapOf = ({ accept }: Way): string => (accept === undefined ? 'gap one two three' : 'gap');

/** Where a room of that name stands in a layer that has the same broker and another prefix. */
async function elsewhere(): Promise<string> {
  await using layer = await openLayer(`memory:${gateway.bus}`, { prefix: 'another', history: HISTORY });
  for (const text of ['other 1', 'other 2']) await layer.publish(room, text);
  return (await layer.history(room)).position;
}

type Place = (way: Way) => string | Promise<string>;

/** What is given as the place, what follows where the program says it, and where the browser does. */
const PLACES: readonly (readonly [name: string, place: Place, said: string, brought: string])[] = [
  ['as it was given', (way) => placeAt(way, positions[0] ?? ''), 'goes on', 'goes on'],
  ['cut', (way) => placeAt(way, positions[0] ?? '').slice(0, way.form === 'room' ? -2 : -3), '400 bad_position', 'gap'],
  ['forged, and no place at all', (way) => (way.form === 'room' ? 'made up' : '1-bWFkZSB1cA'), '400 bad_position', 'gap'],
  ['forged, of an epoch that never was', (way) => placeAt(way, 'never:1'), 'gap', 'gap'],
  ['forged, beyond the end', (way) => placeAt(way, (positions[2] ?? '').replace(/\d+$/, '999')), 'gap', 'gap'],
  ['of another prefix', async (way) => placeAt(way, await elsewhere()), 'gap', 'gap'],
  ['of a newer version', (way) => (way.form === 'room' ? `2-${positions[0]}` : '2-anything'), 'gap', 'gap'],
  ['of a version that never was', () => '0-IQ', '400 bad_position', 'gap'],
  ['the number that another server counts with', () => '17', '400 bad_position', 'gap'],
  ['of the other kind', (way) => (way.form === 'room' ? cursorAt(positions[0] ?? '') : (positions[0] ?? '')), '400 bad_position', 'gap'],
  ['of 10 KB', () => 'x'.repeat(10_000), 'too long', 'gap'],
  ['of 100 KB', () => 'x'.repeat(100_000), 'far too long', '431 headers_too_large'],
];

function expected(way: Way, outcome: string): string {
  if (outcome === 'goes on') return 'two three';
  if (outcome === 'gap') return gapOf(way);
  if (outcome === 'too long') return way.form === 'posted' ? '400 bad_position' : '414 target_too_long';
  if (outcome === 'far too long') return way.form === 'posted' ? '413 body_too_large' : '431 headers_too_large';
  return outcome;
}

describe.each(WAYS)('a place in $name', (way) => {
  test.each(PLACES)('that is %s', async (_, place, said, brought) => {
    const since = await place(way);
    expect(await outcomeOf(gateway, way, room, { since })).toBe(expected(way, said));
    expect(await outcomeOf(gateway, way, room, { headers: { 'Last-Event-ID': since } })).toBe(expected(way, brought));
  });

  test('that its browser brings back goes before what its program says, and both before the newest messages', async () => {
    const [first = '', second = ''] = positions.map((position) => placeAt(way, position));
    expect(await outcomeOf(gateway, way, room, { last: 1 })).toBe('three');
    expect(await outcomeOf(gateway, way, room, { since: first, last: 1 })).toBe('two three');
    expect(await outcomeOf(gateway, way, room, { since: first, last: 1, headers: { 'Last-Event-ID': second } })).toBe('three');
  });

  test('that is empty: none was brought back, and none can be said so', async () => {
    expect(await outcomeOf(gateway, way, room, { last: 1, headers: { 'Last-Event-ID': '' } })).toBe('three');
    expect(await outcomeOf(gateway, way, room, { since: '' })).toBe('400 bad_position');
  });
});

const MANY = WAYS.filter(({ form }) => form !== 'room');
/** A body may be of more rooms than a target. */
const tooMany = ({ form }: Way): string => (form === 'posted' ? '413 body_too_large' : '414 target_too_long');
const named = (count: number): readonly string[] => Array.from({ length: count }, (_, n) => `r${n}`);

describe.each(MANY)('the rooms of $name', (way) => {
  const ask = (asked: Asked): Promise<string> => outcomeOf(gateway, way, room, asked);

  test('are joined once, however often they are named', async () => {
    expect(await ask({ rooms: [room, room, room], last: 3 })).toBe('one two three');
  });

  test('are names, and not more than a request may have', async () => {
    expect(await ask({ rooms: [''] })).toBe('400 bad_room');
    expect(await ask({ rooms: [room, 'a b'] })).toBe('400 bad_room');
    expect(await ask({ rooms: named(1001) })).toBe(tooMany(way));
  });

  test('may be none for a stream, which joins later, and not for a question', async () => {
    const outcome = way.accept === undefined ? await ask({ rooms: [] }) : await statusOf(way, { rooms: [] });
    expect(outcome).toBe(way.accept === undefined ? '400 bad_room' : '200');
  });

  test('that the cursor alone has are not joined', async () => {
    const since = formatCursor(
      new Map([
        [room, positions[0] ?? ''],
        ['kept.other', positions[0] ?? ''],
      ]),
    );
    expect(await ask({ since })).toBe('two three');
  });
});

/** Of a stream that has nothing to tell. */
async function statusOf(way: Way, asked: Asked): Promise<string> {
  const [path, init] = requestOf(way, room, asked);
  const answer = await fetch(gateway.http(path), init);
  await answer.body?.cancel();
  return String(answer.status);
}

describe.each(WAYS)('numbers in $name', (way) => {
  const ask = (asked: Asked): Promise<string> => outcomeOf(gateway, way, room, asked);

  test.each([-1, 'abc', '', 1.5, '1e', '-1e9', '15e-1', '0x10'])('last=%j is refused', async (last) => {
    expect(await ask({ last })).toBe('400 bad_request');
  });

  test.each([1000, 1001, 9_999_999_999, 2 ** 60, 1e21, ...(way.form === 'posted' ? [] : ['1e9', '3e0', '3.0', '1e999'])])(
    'last=%j gives all that there is',
    async (last) => {
      expect(await ask({ last })).toBe('one two three');
    },
  );
});

/** On a stream they mean nothing. */
describe.each(WAYS.filter(({ accept }) => accept === undefined))('numbers of the question that is $name', (way) => {
  const ask = (asked: Asked): Promise<string> => outcomeOf(gateway, way, room, { last: 3, ...asked });

  test.each(['abc', '', 'NaN', '0x10', '1e', 'Infinity', true, null])('that are none are refused: %j', async (value) => {
    expect(await ask({ poll: value })).toBe('400 bad_request');
    expect(await ask({ limit: value })).toBe('400 bad_request');
  });

  test('beyond their bounds are cut to them', async () => {
    for (const poll of [-1, 0, 1e9, -1e300]) expect(await ask({ poll })).toBe('one two three');
    for (const limit of [-1, 0, 0.5]) expect(await ask({ limit })).toBe('three');
    for (const limit of [1e9, 2 ** 53]) expect(await ask({ limit })).toBe('one two three');
  });
});
