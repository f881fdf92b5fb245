import { type Counters, createCounters } from '../../src/counters.ts';
import type { Encoding } from '../../src/hub/encoding.ts';
import { Flush } from '../../src/hub/flush.ts';
import type { Loss } from '../../src/hub/loss.ts';
import { RoomMemberships } from '../../src/hub/member.ts';
import { HubRoom } from '../../src/hub/room.ts';
import type { Conversation } from '../../src/session/conversation.ts';
import { Deadlines } from '../../src/session/deadlines.ts';
import { ANYONE, type Identity } from '../../src/identity.ts';
import { textSheet } from '../../src/session/link.ts';
import { Outboxes } from '../../src/session/outbox.ts';
import { Sessions } from '../../src/session/registry.ts';
import { Session } from '../../src/session/session.ts';
import { FakeLink } from './fake-link.ts';

/** Each message as it is, a gap as the text `gap`, and so many missed ones as the text `missed <room> <count>`. */
export const PLAIN: Encoding = {
  encoder: (room) => ({
    message: ({ payload, position }) => ({ binary: false, parts: [payload], length: payload.length, position }),
    gap: () => textSheet('gap'),
    missed: (count) => textSheet(`missed ${room} ${count}`),
  }),
};

/** A gap ends the session. */
export const CLOSING: Encoding = {
  encoder: () => ({
    message: ({ payload, position }) => ({ binary: false, parts: [payload], length: payload.length, position }),
    gap: () => 'close',
    missed: () => 'silent',
  }),
};

const MUTE: Conversation = { route: '/', rooms: [], text() {}, binary() {}, announceDrain() {}, end() {} };

/** Rooms and sessions without sockets, layer or time: the test says when the loop turns and how late it is. */
export class Stage {
  readonly counters: Counters = createCounters();
  readonly outboxes: Outboxes;
  readonly sessions: Sessions;
  readonly deadlines: Deadlines = new Deadlines(1000);
  readonly rooms = new Map<string, HubRoom>();
  /** Sessions whose rights somebody is to be asked about, each time that it was wanted. */
  readonly renewals: Session[] = [];
  /** Milliseconds. */
  time = 0;
  /** What each look at the clock costs. */
  lookMs = 0;
  #deferred: (() => void)[] = [];
  readonly #flush: Flush;
  readonly #backlog: number;
  readonly #losses: Readonly<Record<string, Loss>>;

  /** `losses`: which rooms are lossy. */
  constructor(options: { outbox?: number; total?: number; backlog?: number; losses?: Readonly<Record<string, Loss>>; grace?: number } = {}) {
    this.#losses = options.losses ?? {};
    const now = (): number => (this.time += this.lookMs);
    this.outboxes = new Outboxes(this.counters, options.outbox ?? 1_000_000, options.total ?? 1_000_000_000, now);
    const times = { interval: 25_000, timeout: 10_000, message: 30_000 };
    const rights = { grace: options.grace ?? 0, renew: (session: Session) => void this.renewals.push(session) };
    this.sessions = new Sessions(this.outboxes, this.deadlines, { websocket: times, sse: times, stream: times }, now, 'stage', rights);
    this.#flush = new Flush({ now, defer: (step) => void this.#deferred.push(step) });
    this.#backlog = options.backlog ?? 1_000_000;
  }

  room(name: string): HubRoom {
    const known = this.rooms.get(name);
    if (known !== undefined) return known;
    const room = new HubRoom(name, { flush: this.#flush, counters: this.counters, backlog: this.#backlog, onEmpty: () => undefined }, this.#losses[name]);
    this.rooms.set(name, room);
    return room;
  }

  session(conversation: Conversation = MUTE, identity: Identity = ANYONE): { session: Session; link: FakeLink; members: RoomMemberships } {
    const link = new FakeLink();
    const session = new Session(link, this.sessions, identity, () => conversation);
    const members = new RoomMemberships(session);
    session.feed = members;
    return { session, link, members };
  }

  join(session: Session, members: RoomMemberships, name: string, encoding: Encoding = PLAIN, through?: string): void {
    const room = this.room(name);
    room.hold();
    members.add(room.join(session, encoding, members, through));
  }

  publish(name: string, text: string, position?: string): void {
    this.room(name).take({ payload: Buffer.from(text), ...(position === undefined ? {} : { position }) });
  }

  /** One turn of the loop. */
  turn(): void {
    const steps = this.#deferred;
    this.#deferred = [];
    for (const step of steps) step();
  }

  /** Until nothing is left to do. Answers how many turns it took. */
  settle(): number {
    let turns = 0;
    for (; this.#deferred.length > 0; turns += 1) this.turn();
    this.outboxes.settle();
    return turns;
  }

  balance(): { due: number; sent: number; dropped: number; queued: number } {
    const dropped = Object.values(this.counters.dropped).reduce((sum, count) => sum + count, 0);
    return { due: this.counters.due, sent: this.counters.sent, dropped, queued: this.outboxes.queued };
  }
}
