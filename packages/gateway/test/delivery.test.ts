import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RoomMemberships } from '../src/hub/member.ts';
import type { Session } from '../src/session/session.ts';
import type { FakeLink } from './support/fake-link.ts';
import { CLOSING, Stage } from './support/stage.ts';

const ROOMS = ['a', 'b', 'c'];
/** Those to whom things happen, and those who are in every room all the time, so that a flush takes several slices. */
const SESSIONS = 5;
const LISTENERS = 30;

type Op =
  | { readonly kind: 'publish' | 'gap'; readonly room: string; readonly size: number }
  | { readonly kind: 'join' | 'leave'; readonly who: number; readonly room: string }
  | { readonly kind: 'direct' | 'close' | 'block' | 'unblock'; readonly who: number }
  | { readonly kind: 'turn' };

const who = fc.nat(SESSIONS - 1);
const room = fc.constantFrom(...ROOMS);
const quick: fc.Arbitrary<Op>[] = [
  fc.record({ kind: fc.constant('publish' as const), room, size: fc.constantFrom(1, 20, 200) }),
  fc.record({ kind: fc.constant('publish' as const), room, size: fc.constantFrom(1, 20, 200) }),
  fc.record({ kind: fc.constant('join' as const), who, room }),
  fc.record({ kind: fc.constant('leave' as const), who, room }),
  fc.record({ kind: fc.constant('direct' as const), who }),
  fc.record({ kind: fc.constantFrom('close' as const), who }),
  fc.constant({ kind: 'turn' as const }),
];
const troubled: fc.Arbitrary<Op>[] = [
  ...quick,
  fc.record({ kind: fc.constant('gap' as const), room, size: fc.constant(0) }),
  fc.record({ kind: fc.constantFrom('block' as const, 'unblock' as const), who }),
];

/** One client as it should be: what it is due, in which order. */
class Expected {
  readonly session: Session;
  readonly link: FakeLink;
  readonly members: RoomMemberships;
  /** Everything due by room. */
  readonly byRoom = new Map<string, string[]>(ROOMS.map((name) => [name, []]));
  /** For each direct frame, how much of each room was due before it. */
  readonly marks: { readonly text: string; readonly due: Map<string, number> }[] = [];
  isClosed = false;

  constructor(stage: Stage) {
    ({ session: this.session, link: this.link, members: this.members } = stage.session());
  }

  dueNow(): Map<string, number> {
    return new Map([...this.byRoom].map(([name, due]) => [name, due.length]));
  }
}

/** Runs the operations on a stage and keeps the books beside it. */
class Play {
  readonly stage: Stage;
  readonly clients: Expected[];
  #next = 0;

  constructor(options: ConstructorParameters<typeof Stage>[0], lookMs: number) {
    this.stage = new Stage(options);
    this.stage.lookMs = lookMs;
    this.clients = Array.from({ length: SESSIONS + LISTENERS }, () => new Expected(this.stage));
    for (const { session, members } of this.clients.slice(SESSIONS)) for (const name of ROOMS) this.stage.join(session, members, name);
  }

  run(op: Op): void {
    switch (op.kind) {
      case 'publish':
        return this.#publish(op.room, op.size);
      case 'gap':
        return this.#due(op.room, 'gap', () => this.stage.room(op.room).take({ gap: true }));
      case 'turn':
        return this.stage.turn();
      case 'join':
      case 'leave':
        return this.#move(op.kind, this.clients[op.who] as Expected, op.room);
      case 'direct':
      case 'close':
      case 'block':
      case 'unblock':
        return this.#act(op.kind, this.clients[op.who] as Expected);
    }
  }

  #publish(name: string, size: number): void {
    const text = `${name} ${(this.#next += 1)} ${'x'.repeat(size)}`;
    this.#due(name, text, () => this.stage.publish(name, text));
  }

  #due(name: string, text: string, happen: () => void): void {
    for (const client of this.clients) if (client.members.get(name) !== undefined) client.byRoom.get(name)?.push(text);
    happen();
  }

  #move(kind: 'join' | 'leave', client: Expected, name: string): void {
    const member = client.members.get(name);
    if (!client.session.isOpen || (kind === 'join') === (member !== undefined)) return;
    if (kind === 'join') return this.stage.join(client.session, client.members, name);
    member?.flush();
    if (member !== undefined) client.members.remove(member);
  }

  #act(kind: 'direct' | 'close' | 'block' | 'unblock', client: Expected): void {
    if (kind === 'block') client.link.room = 0;
    else if (kind === 'unblock') client.link.take(100_000);
    else if (!client.session.isOpen) return;
    else if (kind === 'close') client.session.close('going_away');
    else {
      const text = `direct ${(this.#next += 1)}`;
      client.marks.push({ text, due: client.dueNow() });
      client.session.send(text);
    }
  }
}

const isOf = (name: string, text: string): boolean => text.startsWith(`${name} `);
const withoutGaps = (texts: readonly string[]): string[] => texts.filter((text) => text !== 'gap');

describe('whatever happens in the middle of a burst', () => {
  test('every client has exactly what is its, in order, and nothing after its close', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(...quick), { maxLength: 150, size: 'max' }), fc.constantFrom(0, 0.5, 5), (ops, lookMs) => {
        const play = new Play({}, lookMs);
        for (const op of ops) play.run(op);
        play.stage.settle();
        for (const { byRoom, link, marks } of play.clients) {
          const texts = link.texts();
          for (const [name, due] of byRoom) expect(texts.filter((text) => isOf(name, text))).toEqual(due);
          for (const mark of marks) {
            const before = texts.slice(0, texts.indexOf(mark.text));
            for (const [name, count] of mark.due) expect(before.filter((text) => isOf(name, text)).length).toBe(count);
          }
        }
        const { due, sent, dropped, queued } = play.stage.balance();
        expect({ due, dropped, queued }).toEqual({ due: sent, dropped: 0, queued: 0 });
        expect(sent).toBe(play.clients.reduce((sum, client) => sum + [...client.byRoom.values()].reduce((all, texts) => all + texts.length, 0), 0));
      }),
      { numRuns: 100 },
    );
  });

  test('with readers that stop, small bounds and gaps the books balance, and each has the beginning of what is its', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(...troubled), { maxLength: 150, size: 'max' }), fc.constantFrom(0, 0.5, 5), (ops, lookMs) => {
        const play = new Play({ outbox: 600, total: 2000 }, lookMs);
        for (const op of ops) {
          play.run(op);
          const { due, sent, dropped, queued } = play.stage.balance();
          expect(due).toBe(sent + dropped + queued);
        }
        play.stage.settle();
        for (const { byRoom, link, session } of play.clients) {
          const texts = link.texts();
          for (const [name, due] of byRoom) {
            const had = texts.filter((text) => isOf(name, text));
            expect(had).toEqual(withoutGaps(due).slice(0, had.length));
            if (session.isOpen) expect(had.length).toBe(withoutGaps(due).length);
          }
          if (session.isOpen)
            expect(texts.filter((text) => text === 'gap').length).toBe([...byRoom.values()].flat().length - withoutGaps([...byRoom.values()].flat()).length);
          session.unlinked(link, { code: 1006, reason: '' });
        }
        expect(play.stage.balance()).toMatchObject({ queued: 0 });
        const { due, sent, dropped } = play.stage.balance();
        expect(due).toBe(sent + dropped);
        expect(play.stage.outboxes.bytes).toBe(0);
        expect(play.stage.sessions.size).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});

test('a message is framed once, and the same bytes go to every member in one write', () => {
  const stage = new Stage();
  const clients = Array.from({ length: 3 }, () => stage.session());
  for (const { session, members } of clients) stage.join(session, members, 'a');
  for (let round = 0; round < 100; round += 1) stage.publish('a', `message ${round}`);
  stage.settle();
  const [first, ...others] = clients.map(({ link }) => link);
  expect(first?.texts().length).toBe(100);
  expect(first?.writes).toBe(1);
  for (const other of others) expect(other.written).toEqual(first?.written);
  for (const other of others) expect(other.written[0]?.buffer).toBe(first?.written[0]?.buffer);
});

test.each([10, 1000])('a session in %i rooms is written once a turn, also where only ten of them have something', (rooms) => {
  const stage = new Stage();
  const { session, link, members } = stage.session();
  for (let room = 0; room < rooms; room += 1) stage.join(session, members, `r${room}`);
  for (let round = 0; round < 50; round += 1) stage.publish(`r${round % 10}`, `message ${round}`);
  stage.settle();
  expect(link.texts().length).toBe(50);
  expect(link.writes).toBe(1);
});

test('a large room is written in slices, between which a small one has its turn', () => {
  const stage = new Stage();
  stage.lookMs = 1;
  const large = Array.from({ length: 1000 }, () => stage.session());
  for (const { session, members } of large) stage.join(session, members, 'large');
  const small = stage.session();
  stage.join(small.session, small.members, 'small');
  stage.publish('large', 'to many');
  stage.turn();
  const hadAfterOne = large.filter(({ link }) => link.writes > 0).length;
  expect(hadAfterOne).toBeGreaterThan(0);
  expect(hadAfterOne).toBeLessThan(500);
  stage.publish('small', 'to one');
  stage.turn();
  stage.turn();
  expect(small.link.texts()).toEqual(['to one']);
  expect(large.some(({ link }) => link.writes === 0)).toBe(true);
  stage.settle();
  for (const { link } of large) expect(link.texts()).toEqual(['to many']);
});

test('a batch is at most 256 KiB, and a larger message goes alone', () => {
  const stage = new Stage({ backlog: 10_000_000, outbox: 10_000_000 });
  const { session, link, members } = stage.session();
  stage.join(session, members, 'a');
  for (let round = 0; round < 40; round += 1) stage.publish('a', `${round} ${'x'.repeat(round === 20 ? 400_000 : 20_000)}`);
  stage.settle();
  expect(link.texts().map((text) => Number(text.split(' ')[0]))).toEqual(Array.from({ length: 40 }, (_, round) => round));
  const sizes = link.written.map((piece) => piece.length);
  expect(sizes.filter((size) => size > 256 * 1024).length).toBe(1);
  expect(sizes.length).toBeLessThan(10);
});

test('past its backlog a room drops its newest, counts them and tells a gap where they were', () => {
  const stage = new Stage({ backlog: 1000 });
  const { session, link, members } = stage.session();
  stage.join(session, members, 'a');
  for (let round = 0; round < 20; round += 1) stage.publish('a', `${round} ${'x'.repeat(96)}`);
  stage.settle();
  stage.publish('a', 'after');
  stage.settle();
  expect(link.texts().map((text) => text.split(' ')[0])).toEqual(
    [...Array.from({ length: 11 }, (_, round) => String(round)).slice(0, 10), 'gap', 'after'].filter((_, index) => index < 12),
  );
  expect(stage.counters.dropped.backlog).toBe(10);
  expect(stage.room('a').drops).toEqual({ backlog: 10, missed: 0 });
  expect(stage.balance()).toEqual({ due: 21, sent: 11, dropped: 10, queued: 0 });
});

test('a gap ends a session whose route says so: what came before it leaves, what came after does not', () => {
  const stage = new Stage();
  const { session, link, members } = stage.session();
  stage.join(session, members, 'a', CLOSING);
  stage.publish('a', 'before');
  stage.room('a').take({ gap: true });
  stage.publish('a', 'after');
  stage.settle();
  expect(link.texts()).toEqual(['before']);
  expect(link.closedWith).toBe(1012);
  expect(session.isOpen).toBe(false);
});

test('a member that was replayed more than has come live does not have it twice', () => {
  const stage = new Stage();
  const early = stage.session();
  stage.join(early.session, early.members, 'a');
  stage.publish('a', 'one', 'e:1');
  const late = stage.session();
  stage.join(late.session, late.members, 'a', undefined, 'e:3');
  for (const [text, position] of [
    ['two', 'e:2'],
    ['around the history', undefined],
    ['three', 'e:3'],
    ['four', 'e:4'],
  ] as const)
    stage.publish('a', text, position);
  stage.settle();
  expect(late.link.texts()).toEqual(['around the history', 'four']);
  expect(early.link.texts()).toEqual(['one', 'two', 'around the history', 'three', 'four']);
});
