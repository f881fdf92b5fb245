import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RoomMemberships } from '../src/hub/member.ts';
import type { Session } from '../src/session/session.ts';
import type { FakeLink } from './support/fake-link.ts';
import { LOSSES } from './support/losses.ts';
import { Stage } from './support/stage.ts';

const ROOMS = [...Object.keys(LOSSES), 'kept'];
const SESSIONS = 4;

type Op =
  | { readonly kind: 'publish'; readonly room: string; readonly key: string; readonly size: number }
  | { readonly kind: 'read'; readonly who: number; readonly bytes: number }
  | { readonly kind: 'stop' | 'direct'; readonly who: number }
  | { readonly kind: 'move'; readonly who: number; readonly room: string }
  | { readonly kind: 'turn' };

const who = fc.nat(SESSIONS - 1);
const room = fc.constantFrom(...ROOMS);
const ops: fc.Arbitrary<Op> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('publish' as const), room, key: fc.constantFrom('a', 'b', 'c'), size: fc.constantFrom(1, 30, 300) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('read' as const), who, bytes: fc.nat(700) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('stop' as const, 'direct' as const), who }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('move' as const), who, room }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'turn' as const }) },
);

/** A client that reads at its own pace, and what was published while it was in a room. */
class Reader {
  readonly session: Session;
  readonly link: FakeLink;
  readonly members: RoomMemberships;
  readonly due = new Map<string, string[]>(ROOMS.map((name) => [name, []]));
  readonly direct: string[] = [];

  constructor(stage: Stage) {
    ({ session: this.session, link: this.link, members: this.members } = stage.session());
    for (const name of ROOMS) stage.join(this.session, this.members, name);
  }

  /** What it was told of a room: how many messages it had or knows to have missed. Each stands at its place, or this throws. */
  account(name: string): { had: string[]; told: number; through: number } {
    const due = this.due.get(name) ?? [];
    const had: string[] = [];
    let told = 0;
    for (const text of this.link.texts()) {
      const [first, of, count] = text.split(' ');
      if (first === 'missed' && of === name) told += Number(count);
      if (!text.startsWith(`{"room":"${name}"`)) continue;
      expect(text).toBe(due[had.length + told]);
      had.push(text);
    }
    return { had, told, through: had.length + told };
  }
}

/** Runs the operations, and keeps the books beside them. */
class Play {
  readonly stage = new Stage({ outbox: 6000, losses: LOSSES });
  readonly readers = Array.from({ length: SESSIONS }, () => new Reader(this.stage));
  #next = 0;

  run(op: Op): void {
    if (op.kind === 'turn') return this.stage.turn();
    if (op.kind === 'publish') return this.#publish(op);
    const reader = this.readers[op.who] as Reader;
    if (op.kind === 'read') reader.link.take(op.bytes);
    else if (op.kind === 'stop') reader.link.room = 0;
    else if (op.kind === 'move') this.#move(reader, op.room);
    else if (op.kind === 'direct' && reader.session.isOpen) {
      reader.direct.push(`direct ${(this.#next += 1)}`);
      reader.session.send(reader.direct.at(-1) ?? '');
    }
  }

  #publish({ room: name, key, size }: Extract<Op, { kind: 'publish' }>): void {
    const text = JSON.stringify({ room: name, k: key, n: (this.#next += 1), x: 'x'.repeat(size) });
    for (const { members, due } of this.readers) if (members.get(name) !== undefined) due.get(name)?.push(text);
    this.stage.publish(name, text);
  }

  #move({ session, members }: Reader, name: string): void {
    const member = members.get(name);
    if (!session.isOpen) return;
    if (member === undefined) this.stage.join(session, members, name);
    else members.remove(member);
  }
}

describe('readers that read at random', () => {
  test('find each message delivered, dropped and told at its place, or still queued, and the ledger agrees at every moment', () => {
    fc.assert(
      fc.property(fc.array(ops, { maxLength: 200, size: 'max' }), (steps) => {
        const play = new Play();
        const { stage, readers } = play;
        for (const op of steps) {
          play.run(op);
          const { due, sent, dropped, queued } = stage.balance();
          expect(due).toBe(sent + dropped + queued);
          expect(queued).toBeGreaterThanOrEqual(0);
        }
        for (const { link } of readers) link.take(1_000_000);
        stage.settle();
        let missed = 0;
        for (const reader of readers) {
          for (const name of ROOMS) {
            const { told, through } = reader.account(name);
            if (!reader.session.isOpen) continue;
            expect(through).toBe(reader.due.get(name)?.length);
            missed += told;
            if (name === 'kept') expect(told).toBe(0);
          }
          if (reader.session.isOpen) expect(reader.link.texts().filter((text) => text.startsWith('direct'))).toEqual(reader.direct);
        }
        expect(stage.balance()).toMatchObject({ queued: 0 });
        expect(ROOMS.reduce((sum, name) => sum + (stage.room(name).drops['missed'] ?? 0), 0)).toBe(stage.counters.dropped.missed);
        if (readers.every(({ session }) => session.isOpen)) expect(stage.counters.dropped.missed).toBe(missed);
        for (const { session, link } of readers) session.unlinked(link, { code: 1006, reason: '' });
        expect(stage.outboxes.bytes).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test('have the last message of each key, whatever they missed', () => {
    fc.assert(
      fc.property(fc.array(ops, { maxLength: 200, size: 'max' }), (steps) => {
        const play = new Play();
        for (const op of steps) if (op.kind !== 'move' && op.kind !== 'direct' && !(op.kind === 'publish' && op.room === 'kept')) play.run(op);
        for (const { link } of play.readers) link.take(1_000_000);
        play.stage.settle();
        for (const reader of play.readers) {
          for (const [name, keys] of [
            ['latest', ['']],
            ['keyed', ['a', 'b', 'c']],
          ] as const) {
            const due = reader.due.get(name) ?? [];
            const { had } = reader.account(name);
            for (const key of keys) expect(had.findLast((text) => text.includes(`"k":"${key}`))).toBe(due.findLast((text) => text.includes(`"k":"${key}`)));
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  test('that end while something is owed leave nothing behind, and what they did not get counts as dropped', () => {
    for (const end of ['close', 'unlinked', 'slow', 'relink'] as const) {
      const stage = new Stage({ outbox: 3000, losses: LOSSES });
      const { session, link, members } = stage.session();
      for (const name of ROOMS) stage.join(session, members, name);
      link.room = 0;
      for (let count = 0; count < 20; count += 1) {
        stage.publish('oldest', 'x'.repeat(50));
        stage.turn();
      }
      if (end === 'close') session.close('going_away');
      else if (end === 'unlinked') session.unlinked(link, { code: 1006, reason: '' });
      else if (end === 'slow') session.tooSlow('slow');
      else session.relink(undefined);
      link.isDestroyed = true;
      if (end !== 'relink') session.unlinked(link, { code: 1006, reason: '' });
      const { due, sent, dropped, queued } = stage.balance();
      expect({ end, sum: sent + dropped, queued }).toEqual({ end, sum: due, queued: 0 });
      expect(stage.outboxes.bytes).toBe(0);
    }
  });
});
