import { describe, expect, test } from 'vitest';
import { Stage } from './support/stage.ts';

const LOST = { code: 1006 };

/** A stage with an open link, and rooms joined on it. */
function joined(rooms: Record<string, string | undefined>): Stage {
  const stage = new Stage();
  stage.welcome();
  for (const [room, position] of Object.entries(rooms)) {
    stage.do((core) => core.join(room, {}));
    stage.joined(position === undefined ? {} : { position });
  }
  return stage;
}

function reconnect(stage: Stage): void {
  stage.end(LOST);
  stage.wait();
  stage.welcome();
}

const texts = (stage: Stage): unknown[] => stage.told('message').map(([, { data }]) => data);

describe('joins', () => {
  test('are sent when the link opens, and at once on one that is', () => {
    const stage = new Stage();
    stage.do((core) => core.join('a', { last: 20 }));
    expect(stage.sent()).toEqual([]);
    stage.welcome();
    expect(stage.sent()).toEqual([{ type: 'join', room: 'a', ref: expect.any(Number), last: 20 }]);
    stage.do((core) => core.join('b', { since: 'e:1' }));
    expect(stage.lastSent()).toEqual({ type: 'join', room: 'b', ref: expect.any(Number), since: 'e:1' });
    expect(stage.sent()).toHaveLength(2);
  });

  test('that are refused for a while are sent again, others end the room and say why', () => {
    const stage = joined({});
    for (const code of ['away', 'rate']) {
      stage.do((core) => core.join(code, {}));
      stage.frame({ type: 'error', code, ref: (stage.lastSent() as { ref: number }).ref });
      const count = stage.sent().length;
      stage.pass(1000);
      expect(stage.sent()).toHaveLength(count + 1);
      expect(stage.lastSent()).toMatchObject({ type: 'join', room: code });
      stage.joined();
    }
    for (const code of ['not_allowed', 'bad_room', 'no_history']) {
      stage.do((core) => core.join(code, {}));
      stage.frame({ type: 'error', code, ref: (stage.lastSent() as { ref: number }).ref });
      expect(stage.told('room').at(-1)).toEqual(['room', code, 'left', code]);
    }
    const count = stage.sent().length;
    stage.pass(5000);
    expect(stage.sent()).toHaveLength(count);
  });

  test('a position that the gateway does not know is given up, and a gap told', () => {
    const stage = joined({});
    stage.do((core) => core.join('a', { since: 'old' }));
    stage.frame({ type: 'error', code: 'bad_position', ref: (stage.lastSent() as { ref: number }).ref });
    stage.pass(1000);
    expect(stage.lastSent()).toEqual({ type: 'join', room: 'a', ref: expect.any(Number) });
    stage.joined({ position: 'e:9' });
    expect(stage.told('gap')).toHaveLength(1);
  });

  test('a room that was left and joined anew gets nothing of what was before', () => {
    const stage = joined({ a: 'e:1' });
    stage.do((core) => core.leave('a'));
    expect(stage.lastSent()).toEqual({ type: 'leave', room: 'a' });
    stage.do((core) => core.join('a', {}));
    stage.frame({ type: 'message', room: 'a', data: 'old', position: 'e:2' });
    stage.frame({ type: 'left', room: 'a' });
    stage.joined({ position: 'e:2' });
    stage.frame({ type: 'message', room: 'a', data: 'new', position: 'e:3' });
    expect(texts(stage)).toEqual(['new']);
  });

  test('a room whose right has ended is left, and says why; our own leaves are no news', () => {
    const stage = joined({ a: undefined, b: undefined });
    stage.frame({ type: 'left', room: 'a', reason: 'not_allowed' });
    expect(stage.told('room').at(-1)).toEqual(['room', 'a', 'left', 'not_allowed']);
    const told = stage.told('room').length;
    stage.do((core) => core.leave('b'));
    stage.frame({ type: 'left', room: 'b' });
    expect(stage.told('room')).toHaveLength(told);
  });
});

describe('after a cut', () => {
  test('rooms with history go on after the last message, others begin anew and are told a gap', () => {
    const stage = joined({ kept: 'e:1', quiet: 'e:5', live: undefined });
    stage.frame({ type: 'message', room: 'kept', data: 1, position: 'e:2' });
    reconnect(stage);
    expect(stage.sent(stage.link)).toEqual([
      { type: 'join', room: 'kept', ref: expect.any(Number), since: 'e:2' },
      { type: 'join', room: 'quiet', ref: expect.any(Number), since: 'e:5' },
      { type: 'join', room: 'live', ref: expect.any(Number) },
    ]);
    expect(stage.told('gap')).toEqual([]);
    stage.joined();
    expect(stage.told('gap')).toEqual([['gap', 'live', { after: 500 }]]);
  });

  test('the last messages are asked for on the first join alone', () => {
    const stage = new Stage();
    stage.do((core) => core.join('a', { last: 20 }));
    stage.welcome();
    stage.joined();
    reconnect(stage);
    expect(stage.lastSent()).toEqual({ type: 'join', room: 'a', ref: expect.any(Number) });
  });

  test('what comes again is not given again', () => {
    const stage = joined({ kept: 'e:1' });
    for (const offset of [2, 3]) stage.frame({ type: 'message', room: 'kept', data: offset, position: `e:${offset}` });
    reconnect(stage);
    stage.joined({ position: 'e:1', recovered: true });
    for (const offset of [2, 3, 4]) stage.frame({ type: 'message', room: 'kept', data: offset, position: `e:${offset}` });
    expect(texts(stage)).toEqual([2, 3, 4]);
  });

  test('what follows a gap is given, where offsets begin anew too', () => {
    const stage = joined({ kept: 'e:8' });
    stage.frame({ type: 'message', room: 'kept', data: 'before', position: 'e:9' });
    reconnect(stage);
    stage.joined({ position: 'f:3', recovered: false });
    stage.frame({ type: 'gap', room: 'kept', after: 70 });
    stage.frame({ type: 'message', room: 'kept', data: 'after', position: 'f:2' });
    expect([texts(stage), stage.told('gap')]).toEqual([['before', 'after'], [['gap', 'kept', { after: 70 }]]]);
  });

  test('a slow reader is told how much it missed', () => {
    const stage = joined({ live: undefined });
    stage.frame({ type: 'missed', room: 'live', count: 7 });
    expect(stage.told('gap')).toEqual([['gap', 'live', { after: 0, missed: 7 }]]);
  });
});

describe('a gateway that goes', () => {
  /** The link that the gateway wants closed, and the one that takes over. */
  function drained(rooms: Record<string, string | undefined>): { stage: Stage; old: number; link: number } {
    const stage = joined(rooms);
    const old = stage.link;
    stage.frame({ type: 'reconnect', after: 300 });
    stage.pass(299);
    expect(stage.opened).toBe(1);
    stage.pass(1);
    return { stage, old, link: stage.link };
  }

  test('is left when another one has everything that can be resumed', () => {
    const { stage, old, link } = drained({ kept: 'e:1', live: undefined });
    expect([stage.opened, stage.state, stage.told('close')]).toEqual([2, 'open', []]);
    stage.welcome(link);
    expect(stage.sent(link)).toEqual([{ type: 'join', room: 'kept', ref: expect.any(Number), since: 'e:1' }]);
    stage.frame({ type: 'message', room: 'kept', data: 2, position: 'e:2' }, old);
    stage.frame({ type: 'message', room: 'live', data: 'still' }, old);
    stage.joined({ position: 'e:1', recovered: true }, link);
    expect(stage.told('close')).toEqual([['close', old]]);
    stage.frame({ type: 'message', room: 'kept', data: 2, position: 'e:2' }, link);
    stage.frame({ type: 'message', room: 'kept', data: 3, position: 'e:3' }, link);
    expect(stage.lastSent()).toEqual({ type: 'join', room: 'live', ref: expect.any(Number) });
    stage.joined({}, link);
    stage.frame({ type: 'message', room: 'live', data: 'again' }, link);
    expect([texts(stage), stage.told('gap')]).toEqual([[2, 'still', 3, 'again'], [['gap', 'live', { after: 500 }]]]);
  });

  test('and the next one give a message without a position once, also in a room with history', () => {
    const { stage, old, link } = drained({ one: 'e:1', other: 'e:1' });
    stage.welcome(link);
    // The last join is still under way: both links stand.
    const { ref } = stage.sent(link)[0] as { ref: number };
    stage.frame({ type: 'joined', room: 'one', ref, position: 'e:1', recovered: true }, link);
    expect(stage.told('close')).toEqual([]);
    for (const each of [link, old]) stage.frame({ type: 'message', room: 'one', data: 'around the history' }, each);
    expect(texts(stage)).toEqual(['around the history']);
    stage.joined({ position: 'e:1', recovered: true }, link);
    stage.frame({ type: 'message', room: 'one', data: 'later' }, link);
    expect(texts(stage)).toEqual(['around the history', 'later']);
  });

  test('answers first what it was sent, and nothing new is sent meanwhile', () => {
    const { stage, old, link } = drained({});
    const outcomes: unknown[] = [];
    const publish = (data: number): void => stage.do((core) => core.publish('r', { data }, undefined, (failure) => outcomes.push([data, failure?.code])));
    publish(1);
    const { ref } = stage.lastSent() as { ref: number };
    stage.welcome(link);
    publish(2);
    expect(stage.sent(link)).toEqual([]);
    stage.frame({ type: 'published', room: 'r', ref }, old);
    expect([stage.told('close'), outcomes]).toEqual([[['close', old]], [[1, undefined]]]);
    expect(stage.sent(link)).toMatchObject([{ type: 'publish', data: 2 }]);
  });

  test('may be gone before: then the next one is all there is', () => {
    const { stage, old, link } = drained({ kept: 'e:1', live: undefined });
    stage.end({ code: 1012 }, old);
    expect(stage.state).toBe('connecting');
    stage.welcome(link);
    expect(stage.state).toBe('open');
    expect(stage.sent(link)).toHaveLength(2);
    expect(stage.opened).toBe(2);
  });

  test('stands while the next one cannot be had, and that is tried again', () => {
    const { stage, old } = drained({ kept: 'e:1' });
    stage.end(LOST);
    expect(stage.state).toBe('open');
    stage.wait();
    stage.welcome();
    stage.joined({ position: 'e:1', recovered: true });
    expect(stage.told('close').at(-1)).toEqual(['close', old]);
  });
});
