import type { PositionedMessage } from '@busgate/layer';
import { ERRORS, type FrameErrorKey } from '../../errors.ts';
import { type Home, RoomMemberships } from '../../hub/member.ts';
import type { HubRoom } from '../../hub/room.ts';
import { joinFailure, publishFailure, type PublishFailureKey } from '../../layer-errors.ts';
import { Quota } from '../../limits/quota.ts';
import type { Conversation } from '../../session/conversation.ts';
import type { Session } from '../../session/session.ts';
import { secondsLeft } from '../../identity.ts';
import { Intake } from '../intake.ts';
import type { MultiplexContext } from './context.ts';
import { textSheet } from '../../session/link.ts';
import { framedEvent, MULTIPLEX_ENCODING } from './encoding.ts';
import { Faults } from './faults.ts';
import { type ClientFrame, type FrameFault, parseFrame, type Ref } from './parse.ts';
import { Missed, joined } from './missed.ts';
import { renewedBy } from './renewal.ts';
import { replay } from '../replay.ts';
import { type WriteAnswer, type FrameStep, Turns } from './turns.ts';

export type Join = Extract<ClientFrame, { type: 'join' }>;
type LeaveFrame = Extract<ClientFrame, { type: 'leave' }>;
type Publish = Extract<ClientFrame, { type: 'publish' }>;
type Renewal = Extract<ClientFrame, { type: 'token' }>;

/** The route, as far as its sessions know it. */
interface Owner {
  readonly path: { readonly text: string };
  readonly context: MultiplexContext;
}

/** What a frame under way costs beside its bytes. */
const FRAME_COST = 256;
/** Frames of one session that may wait for their answers. */
const MAX_UNDER_WAY = 64;

const NOTHING: WriteAnswer = () => undefined;
const NONE: readonly HubRoom[] = [];

/** Frames that need not wait for what was asked before. */
const OVERLAPS: ReadonlySet<string> = new Set(['publish', 'ping', 'fault']);

/** One session of a multiplex route. */
export class MultiplexConversation implements Conversation {
  readonly #session: Session;
  readonly #route: Owner;
  readonly #members: RoomMemberships;
  readonly #turns: Turns;
  readonly #intake: Intake;
  #faults: Faults | undefined;
  /** What it may ask for; undefined where nobody counts. */
  readonly #quota: Quota | undefined;
  /** Rooms that are held until the session is in them. */
  #held: readonly HubRoom[] = NONE;

  /** `joins`: what it is in from its beginning; each room is held already. */
  constructor(session: Session, route: Owner, joins: readonly Join[] = [], held: readonly HubRoom[] = NONE) {
    this.#session = session;
    this.#route = route;
    this.#quota = Quota.under(route.context.asks);
    this.#members = new RoomMemberships(session);
    this.#intake = new Intake(session, MAX_UNDER_WAY);
    this.#turns = new Turns(this.#intake, route.context.inbound);
    session.feed = this.#members;
    const { heartbeat, now } = route.context;
    session.send(JSON.stringify({ type: 'welcome', session: session.id, heartbeat: heartbeat / 1000, expires: secondsLeft(session.identity, now()) }));
    this.#held = held;
    for (const join of joins) this.#take({ cost: 0, overlaps: false, begin: () => this.#join(join, true) });
    if (joins.length === 0) this.#placed();
    else this.#take({ cost: 0, overlaps: false, begin: () => () => this.#placed() });
  }

  get route(): string {
    return this.#route.path.text;
  }

  get rooms(): readonly string[] {
    return this.#members.rooms;
  }

  text(data: Buffer): void {
    const { limits, inbound } = this.#route.context;
    const frame = parseFrame(data.toString(), limits.message);
    const cost = data.length + FRAME_COST;
    const isTaken = inbound.take(cost);
    if (isTaken) this.#take({ cost, overlaps: OVERLAPS.has(frame.type), begin: () => this.#begin(frame) });
    else this.#take({ cost: 0, overlaps: true, begin: () => () => this.#refuse('full', frame.type === 'ping' ? undefined : frame.ref) });
  }

  binary(): void {
    this.#session.close('wrong_kind');
  }

  announceDrain(afterMs: number): void {
    this.#session.sendAll([framedEvent('reconnect', { after: Math.round(afterMs) })], 0);
  }

  end(): void {
    this.#turns.end();
    this.#letGo();
  }

  #take(step: FrameStep): void {
    this.#intake.spend();
    this.#turns.take(step);
  }

  /** It is in all rooms that it asked for by its beginning. */
  #placed(): void {
    this.#letGo();
    this.#members.isPlaced = true;
    const cursor = this.#members.cursor();
    if (cursor !== undefined) this.#session.mark(cursor);
  }

  #letGo(): void {
    for (const room of this.#held) room.release();
    this.#held = NONE;
  }

  #begin(frame: ClientFrame | FrameFault): WriteAnswer | Promise<WriteAnswer> {
    switch (frame.type) {
      case 'fault':
        return () => this.#refuse(frame.code, frame.ref);
      case 'ping':
        return () => this.#session.send('{"type":"pong"}');
      case 'publish':
        return this.#quota?.mayPublish() === false ? this.#refusePublishing(frame) : this.#publish(frame);
      case 'leave':
        return () => this.#leave(frame);
      case 'join':
        return this.#quota?.mayJoin() === false ? () => this.#exceed(frame) : this.#join(frame);
      case 'token':
        return this.#renew(frame);
    }
  }

  #refusePublishing(frame: Publish): WriteAnswer {
    this.#route.context.counters.publishFailures.rate += 1;
    return () => this.#exceed(frame);
  }

  /** It asked for this more often than it may. */
  #exceed({ ref }: Join | Publish): void {
    this.#tellError('rate', ref);
    if (this.#quota?.refuse() === true) this.#session.close('rate');
  }

  /** It is alone under way: what comes behind it is judged by what it brings. */
  async #renew({ token, ref }: Renewal): Promise<WriteAnswer> {
    const renewed = await renewedBy(token, this.#session, this.#route.context.authority);
    if (typeof renewed === 'string') return () => this.#refuse(renewed, ref);
    if (renewed.user !== this.#session.identity.user) return () => this.#session.close('not_allowed');
    return () => {
      this.#session.send(JSON.stringify({ type: 'token', ref, expires: secondsLeft(renewed, this.#route.context.now()) }));
      this.#session.identify(renewed);
    };
  }

  /** It is put out of the rooms that its client may not be in any more. */
  identified(): void {
    for (const room of this.#members.names()) this.#checkRight(room);
  }

  #checkRight(room: string): void {
    if (this.#route.context.rights.join.allows(room, this.#session.identity) || !this.#takeOut(room)) return;
    this.#session.sendAll([textSheet(JSON.stringify({ type: 'left', room, reason: 'not_allowed' }), this.#members.cursor())], 0);
  }

  #publish(frame: Publish): WriteAnswer | Promise<WriteAnswer> {
    const { hub, counters, memory, rights } = this.#route.context;
    const { room, ref } = frame;
    if (memory.isFull) {
      counters.publishFailures.full += 1;
      return () => this.#refuse('full', ref);
    }
    if (rights.publish.allows(room, this.#session.identity)) {
      return hub.publish(room, frame.payload, this.#session.transport, frame.id, frame.traceparent).then(
        ({ position }) =>
          () =>
            this.#session.send(JSON.stringify({ type: 'published', room, ref, position })),
        (error: unknown) => this.#failure(publishFailure(error), error, ref),
      );
    }
    counters.publishFailures.not_allowed += 1;
    return () => this.#refuse('not_allowed', ref);
  }

  #leave({ room, ref }: LeaveFrame): void {
    if (!this.#takeOut(room)) return this.#refuse('not_joined', ref);
    this.#session.sendAll([textSheet(JSON.stringify({ type: 'left', room, ref }), this.#members.cursor())], 0);
  }

  /** It is alone under way, so that what it finds out holds until it has answered. `isAsked`: by the request that began the session. */
  async #join(frame: Join, isAsked = false): Promise<WriteAnswer> {
    const { hub, limits, rights } = this.#route.context;
    if (!rights.join.allows(frame.room, this.#session.identity)) return () => this.#refuse('not_allowed', frame.ref);
    if (hub.isAway) return this.#away(frame, isAsked);
    const known = this.#members.get(frame.room);
    if (known !== undefined && frame.since === undefined && frame.last === undefined) return () => this.#tellJoined(frame, known.room);
    if (known === undefined && this.#members.size >= limits.rooms) return () => this.#refuse('rate', frame.ref);
    try {
      const room = await hub.hold(frame.room);
      return await this.#enter(room, frame);
    } catch (error) {
      const key = joinFailure(error);
      return key === 'away' ? this.#away(frame, isAsked) : this.#failure(key, error, frame.ref);
    }
  }

  /** No frame says which room of the request it is that a session is not in: so that one ends, and its client comes back. */
  #away({ ref }: Join, isAsked: boolean): WriteAnswer {
    return () => (isAsked ? this.#session.close('gap') : this.#refuse('away', ref));
  }

  /** The answer to a join, and what follows it, leave in the same moment as the session becomes a member. */
  async #enter(room: HubRoom, frame: Join): Promise<WriteAnswer> {
    const since = frame.since ?? (await this.#before(room, frame.last));
    if (since === undefined) this.#add(room, () => this.#tellJoined(frame, room));
    else await this.#rejoin(room, { ...frame, since }, since);
    return NOTHING;
  }

  /** Where the newest so many messages of a room begin; undefined where nobody asks, or the room keeps none. */
  async #before({ name, position }: HubRoom, last: number | undefined): Promise<string | undefined> {
    if (last === undefined || position === undefined) return undefined;
    return await this.#route.context.hub.before(name, last);
  }

  #tellJoined(frame: Join, { name, position }: Home): void {
    this.#session.sendAll([textSheet(joined(frame, position), this.#members.cursor(name, position))], 0);
  }

  /** Where the session is in the room already it begins anew from where the client says; where that fails it stays as it was. */
  async #rejoin(room: HubRoom, frame: Join, since: string): Promise<void> {
    const { hub } = this.#route.context;
    const missed = new Missed(this.#session, this.#members, frame);
    let isUsed = false;
    try {
      const begin = (messages: readonly PositionedMessage[]): void => {
        this.#takeOut(frame.room);
        missed.send(messages);
      };
      const reader = { session: this.#session, send: begin, drained: () => this.#session.drained() };
      const isThere = await replay(hub, room, since, reader, (recovery) => {
        isUsed = true;
        this.#takeOut(frame.room);
        this.#add(room, () => missed.sendRest(recovery), recovery.position);
      });
      if (!isThere) room.release();
    } catch (error) {
      if (isUsed) throw error;
      // Half of what it missed was sent, and the rest cannot be had: so it goes on with a gap.
      if (missed.isBegun) return this.#add(room, () => missed.sendGap());
      room.release();
      throw error;
    }
  }

  /** Ends a membership, with what it is due sent; false where there is none. */
  #takeOut(room: string): boolean {
    const member = this.#members.get(room);
    if (member === undefined) return false;
    this.#members.remove(member);
    return true;
  }

  #add(room: HubRoom, answer: () => void, through?: string): void {
    if (!this.#session.isOpen) return room.release();
    answer();
    if (!this.#session.isOpen) return room.release();
    this.#members.add(room.join(this.#session, MULTIPLEX_ENCODING, this.#members, through));
    // Its rights may have changed while it was joining.
    this.#checkRight(room.name);
  }

  /** A fault of ours is logged, and ends the session. */
  #failure(key: PublishFailureKey, error: unknown, ref: Ref | undefined): WriteAnswer {
    if (key !== 'internal') return () => this.#refuse(key, ref);
    this.#route.context.log.error('a frame could not be served', { error: String(error) });
    return () => this.#session.close('internal');
  }

  #refuse(code: FrameErrorKey, ref: Ref | undefined): void {
    const { limits, now } = this.#route.context;
    this.#tellError(code, ref);
    this.#faults ??= new Faults();
    if (this.#faults.add(code, now(), limits.errors)) this.#session.close('too_many_errors');
  }

  #tellError(code: FrameErrorKey, ref: Ref | undefined): void {
    this.#route.context.counters.errorFrames += 1;
    this.#session.send(JSON.stringify({ type: 'error', code, message: ERRORS[code].message, ref }));
  }
}
