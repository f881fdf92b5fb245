import { describe, expect, test } from 'vitest';
import type { End } from '../src/errors.ts';
import { ANYONE, type Identity } from '../src/identity.ts';
import { Intake } from '../src/routes/intake.ts';
import type { Conversation } from '../src/session/conversation.ts';
import { FakeLink } from './support/fake-link.ts';
import { Stage } from './support/stage.ts';

const MUTE: Conversation = { route: '/', rooms: [], text() {}, binary() {}, announceDrain() {}, end() {} };

const tick = (stage: Stage, times: number): void => {
  for (let count = 0; count < times; count += 1) {
    stage.time += stage.deadlines.tickMs;
    stage.deadlines.tick();
  }
};

describe('an id', () => {
  test('says whose process the session is of, holds 128 bits that nobody can guess, and finds the session while it lives', () => {
    const stage = new Stage();
    const ids = Array.from({ length: 100 }, () => stage.session()).map(({ session, link }) => {
      expect(stage.sessions.find(session.id)).toBe(session);
      expect(session.id).toMatch(/^stage-[\w-]{22}$/);
      session.unlinked(link, { code: 1006, reason: '' });
      expect(stage.sessions.find(session.id)).toBeUndefined();
      return session.id;
    });
    expect(new Set(ids).size).toBe(100);
  });
});

describe('rights', () => {
  const inSeconds = (stage: Stage, seconds: number): Identity => ({ ...ANYONE, user: 'ada', until: stage.time + seconds * 1000 });
  const asked = (identity: Identity): Identity => ({ ...identity, question: { uri: '/', address: '', headers: [] } });

  test('that end close the session, and not before', () => {
    const stage = new Stage();
    const { session, link } = stage.session(MUTE, inSeconds(stage, 7));
    tick(stage, 6);
    expect(link.closedWith).toBeUndefined();
    tick(stage, 1);
    expect(link.closedWith).toBe(4401);
    expect(session.identity.user).toBe('ada');
  });

  test('do not end sooner where they began within a tick', () => {
    const stage = new Stage();
    stage.time = 600;
    const { link } = stage.session(MUTE, inSeconds(stage, 1));
    stage.time = 1000;
    stage.deadlines.tick();
    expect(link.closedWith).toBeUndefined();
    stage.time = 2000;
    stage.deadlines.tick();
    expect(link.closedWith).toBe(4401);
  });

  test('may have ended for as long as the grace is', () => {
    const stage = new Stage({ grace: 5000 });
    const { link } = stage.session(MUTE, inSeconds(stage, 7));
    const { link: late } = stage.session(MUTE, inSeconds(stage, -3));
    tick(stage, 4);
    expect(late.closedWith).toBeUndefined();
    tick(stage, 1);
    expect(late.closedWith).toBe(4401);
    tick(stage, 6);
    expect(link.closedWith).toBeUndefined();
    tick(stage, 1);
    expect(link.closedWith).toBe(4401);
  });

  test('may be renewed, which the route is told', () => {
    const stage = new Stage();
    let told = 0;
    const { session, link } = stage.session({ ...MUTE, identified: () => void (told += 1) }, inSeconds(stage, 7));
    tick(stage, 6);
    session.identify(inSeconds(stage, 5));
    tick(stage, 4);
    expect([told, link.closedWith]).toEqual([1, undefined]);
    session.identify({ ...ANYONE, user: 'ada' });
    tick(stage, 60);
    expect([told, link.closedWith]).toEqual([2, undefined]);
  });

  test('end however far away that is', () => {
    const stage = new Stage();
    const { link } = stage.session(MUTE, inSeconds(stage, 1e12));
    tick(stage, 100);
    expect(link.closedWith).toBeUndefined();
  });

  test('are asked for again at their end where somebody can be asked, each 2 s until the grace is over', () => {
    const stage = new Stage({ grace: 5000 });
    const { session, link } = stage.session(MUTE, asked(inSeconds(stage, 2)));
    tick(stage, 1);
    expect(stage.renewals).toEqual([]);
    tick(stage, 1);
    expect(stage.renewals).toEqual([session]);
    tick(stage, 2);
    expect(stage.renewals).toHaveLength(2);
    session.identify(asked(inSeconds(stage, 3)));
    tick(stage, 2);
    expect(stage.renewals).toHaveLength(2);
    tick(stage, 1);
    expect(stage.renewals).toHaveLength(3);
    tick(stage, 4);
    expect([stage.renewals.length, link.closedWith]).toEqual([5, undefined]);
    tick(stage, 1);
    expect([stage.renewals.length, link.closedWith]).toEqual([5, 4401]);
  });
});

describe('how a session ended', () => {
  const told = (): { readonly conversation: Conversation; readonly ends: End[] } => {
    const ends: End[] = [];
    return { conversation: { ...MUTE, end: (end) => void ends.push(end) }, ends };
  };

  test('is told to its conversation once, in the words of whoever ended it', () => {
    const stage = new Stage();
    const ours = told();
    const { session, link } = stage.session(ours.conversation);
    session.close({ code: 4321, reason: 'enough' });
    session.unlinked(link, { code: 1005, reason: '' });
    expect([ours.ends, link.closedWith]).toEqual([[{ code: 4321, reason: 'enough' }], 4321]);
    const theirs = told();
    const other = stage.session(theirs.conversation);
    other.session.unlinked(other.link, { code: 1001, reason: 'bye' });
    expect(theirs.ends).toEqual([{ code: 1001, reason: 'bye' }]);
    expect([stage.counters.closes.get('other'), stage.counters.closes.get('1001')]).toEqual([1, 1]);
  });
});

describe('a session whose link is gone', () => {
  test('ends with it', () => {
    const stage = new Stage();
    const { session, link } = stage.session();
    session.unlinked(link, { code: 1006, reason: '' });
    expect([session.isOpen, stage.sessions.size, stage.counters.closes.get('1006')]).toEqual([false, 0, 1]);
  });

  test('lives on where its route says so, drops what it is due, and goes on over the next one', () => {
    const stage = new Stage();
    const { session, link, members } = stage.session({ ...MUTE, unlinked: () => true });
    stage.join(session, members, 'r');
    link.room = 0;
    stage.publish('r', 'waits in the first');
    stage.settle();
    session.unlinked(link, { code: 1006, reason: '' });
    stage.publish('r', 'meanwhile');
    stage.settle();
    tick(stage, 100);
    const next = new FakeLink();
    session.relink(next);
    stage.publish('r', 'on the second');
    stage.settle();
    expect([session.isOpen, next.texts()]).toEqual([true, ['on the second']]);
    expect(stage.balance()).toEqual({ due: 3, sent: 1, dropped: 2, queued: 0 });
    session.unlinked(link, { code: 1006, reason: '' });
    expect(session.isOpen).toBe(true);
  });

  test('is put onto another link while it has one: the first is cut off, and its end is not the session’s', () => {
    const stage = new Stage();
    const { session, link } = stage.session();
    const next = new FakeLink();
    session.relink(next);
    expect(link.isDestroyed).toBe(true);
    session.unlinked(link, { code: 1006, reason: '' });
    session.send('hello');
    expect(next.texts()).toEqual(['hello']);
    session.unlinked(next, { code: 1001, reason: '' });
    expect([session.isOpen, stage.sessions.size]).toEqual([false, 0]);
  });

  test('can be closed, or cut off, without one', () => {
    const stage = new Stage();
    const [first, second] = [0, 1].map(() => stage.session({ ...MUTE, unlinked: () => true }));
    for (const one of [first, second]) one?.session.relink(undefined);
    first?.session.close('drained');
    second?.session.cutOff();
    expect([stage.sessions.size, stage.counters.closes.get('1012')]).toEqual([0, 1]);
  });
});

describe('a client that is not read', () => {
  const readUntilPinged = (stage: Stage, link: FakeLink): void => {
    while (link.tokens.length === 0) stage.deadlines.tick();
  };

  test('is not judged: neither for an answer that waits unread, nor for one that it is not asked for', () => {
    const stage = new Stage();
    const { session, link } = stage.session();
    readUntilPinged(stage, link);
    session.pause();
    tick(stage, 100);
    expect([link.isDestroyed, link.tokens.length, link.isPaused]).toEqual([false, 1, true]);
    session.resume();
    tick(stage, 24);
    expect([link.isDestroyed, link.tokens.length]).toEqual([false, 1]);
    tick(stage, 11);
    expect([link.isDestroyed, link.tokens.length]).toEqual([true, 2]);
  });

  test('has its message’s time begin anew with what is read next', () => {
    const stage = new Stage();
    const { session, link } = stage.session();
    session.partial(true);
    tick(stage, 29);
    session.pause();
    session.partial(true);
    tick(stage, 60);
    session.resume();
    session.partial(true);
    tick(stage, 9);
    expect(link.closedWith).toBeUndefined();
  });

  test('is read again once it is being closed, so that its own word of the end is heard', () => {
    const stage = new Stage();
    const { session, link } = stage.session();
    session.pause();
    session.close('drained');
    expect(link.isPaused).toBe(false);
    session.pause();
    expect(link.isPaused).toBe(false);
  });

  test('waits from its last credit on until half of them are back', () => {
    const { session, link } = new Stage().session();
    const intake = new Intake(session, 4);
    const seen = ['spend', 'spend', 'spend', 'spend', 'spend', 'refill', 'refill', 'refill', 'spend'] as const;
    const states = seen.map((step) => {
      intake[step]();
      return link.isPaused;
    });
    expect(states).toEqual([false, false, false, true, true, true, true, false, false]);
  });
});
