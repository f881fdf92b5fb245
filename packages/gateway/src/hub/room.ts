import { parsePosition, type Position, type RoomEvent, type RoomMessage } from '@busgate/layer';
import type { Session } from '../session/session.ts';
import type { Tracing } from '../tracing.ts';
import type { Encoding } from './encoding.ts';
import type { Flush } from './flush.ts';
import { Lane, type LaneContext } from './lane.ts';
import type { Loss } from './loss.ts';
import { type Home, Member, type RoomMemberships } from './member.ts';
import { TracedDelivery } from './traced-delivery.ts';

/** What the rooms of a hub share. */
export interface RoomContext extends LaneContext {
  readonly flush: Flush;
  /** Undefined: nobody follows traces. */
  readonly tracing?: Tracing | undefined;
  /** The room has no member and nobody is about to join. */
  readonly onEmpty: (room: HubRoom) => void;
}

/** Wants to know that something has come, and reads elsewhere what. */
export interface Watcher {
  stir(room: HubRoom): void;
}

/** One room in this process: its members by lane, and where it stands. */
export class HubRoom implements Home {
  readonly name: string;
  readonly #context: RoomContext;
  readonly #lanes: Lane[] = [];
  /** Members that have had messages from the history which have not come live yet. */
  #ahead: { readonly member: Member; readonly through: Position }[] = [];
  #watchers: Set<Watcher> | undefined;
  #position: string | undefined;
  #subscribedAt: number | undefined;
  #size = 0;
  /** Those who are about to join. */
  #held = 0;
  readonly #loss: Loss | undefined;

  /** `loss`: what readers of the room lose who cannot keep up; without it they are closed. */
  constructor(name: string, context: RoomContext, loss?: Loss) {
    this.name = name;
    this.#context = context;
    this.#loss = loss;
  }

  get size(): number {
    return this.#size;
  }

  get isFree(): boolean {
    return this.#size === 0 && this.#held === 0;
  }

  get position(): string | undefined {
    return this.#position;
  }

  /** When the layer's subscription took effect, in milliseconds since 1970; undefined before. */
  get subscribedAt(): number | undefined {
    return this.#subscribedAt;
  }

  /** Deliveries that the room dropped, by reason. What is dropped since a session ends may be of all its rooms, and is counted by session alone. */
  get drops(): Readonly<Record<string, number>> {
    const sum = { backlog: 0, missed: 0 };
    for (const { drops } of this.#lanes) {
      sum.backlog += drops.backlog;
      sum.missed += drops.missed;
    }
    return sum;
  }

  /** Its members just now. */
  sessions(): Session[] {
    return this.#lanes.flatMap((lane) => lane.members.flatMap((member) => (member instanceof Member ? member.session : [])));
  }

  /** The layer's subscription is in effect, and stands there. */
  start(position: string | undefined): void {
    this.#position ??= position;
    this.#subscribedAt = Date.now();
  }

  hold(): void {
    this.#held += 1;
  }

  /** Who held it does not join after all. */
  release(): void {
    this.#held -= 1;
    if (this.isFree) this.#context.onEmpty(this);
  }

  /** Ends a hold. The session has every message from here on; `through`: of those that come yet, it has had the ones up to there. */
  join(session: Session, encoding: Encoding, others?: RoomMemberships, through?: string): Member {
    const member = new Member(session, this, this.#lane(session, encoding), others);
    member.lane.add(member);
    this.#size += 1;
    this.#held -= 1;
    const ahead = this.#isAhead(through) ? parsePosition(through) : undefined;
    if (ahead !== undefined) this.#ahead.push({ member, through: ahead });
    return member;
  }

  leave(member: Member): void {
    member.lane.remove(member);
    this.#size -= 1;
    if (this.#ahead.length > 0) this.#ahead = this.#ahead.filter((one) => one.member !== member);
    if (this.isFree) this.#context.onEmpty(this);
  }

  /** Tells of the next event, once. The room must be held for as long. */
  watch(watcher: Watcher): void {
    (this.#watchers ??= new Set()).add(watcher);
  }

  unwatch(watcher: Watcher): void {
    this.#watchers?.delete(watcher);
  }

  /** What the layer has for this room, in order. */
  readonly take = (event: RoomEvent): void => {
    if (event.position !== undefined) this.#position = event.position;
    if (this.#watchers !== undefined) this.#stir();
    for (const lane of this.#lanes) {
      if (lane.members.length === 0) continue;
      if (event.gap === true) lane.appendGap(event.position);
      else if (this.#ahead.length === 0) lane.append(event);
      else this.#appendPast(lane, event);
      if (lane.hasUnsent) this.#context.flush.mark(lane);
    }
    if (this.#context.tracing !== undefined) this.#follow(event, this.#context.tracing);
  };

  /** Until each of its members was written what it is due. */
  #follow({ traceparent }: RoomEvent, tracing: Tracing): void {
    if (traceparent === undefined || this.#size === 0) return;
    const step = tracing.delivering(this.name, this.#size, traceparent);
    if (step !== undefined) this.#context.flush.mark(new TracedDelivery(this.name, step, this.#lanes));
  }

  #stir(): void {
    const watchers = this.#watchers ?? [];
    this.#watchers = undefined;
    for (const watcher of watchers) watcher.stir(this);
  }

  /** Some members of the lane may have had this message: they are brought to its front, and then past it. */
  #appendPast(lane: Lane, message: RoomMessage): void {
    const at = parsePosition(message.position);
    this.#ahead = this.#ahead.filter(({ through }) => at === undefined || !isPast(at, through));
    const passed = at === undefined ? [] : this.#ahead.filter(({ member }) => member.lane === lane);
    for (const { member } of passed) member.flush();
    lane.append(message);
    for (const { member } of passed) lane.skip(member);
  }

  #isAhead(through: string | undefined): boolean {
    const at = parsePosition(this.#position);
    const to = parsePosition(through);
    return at !== undefined && to !== undefined && isPast(to, at) && at.epoch === to.epoch;
  }

  #lane(session: Session, encoding: Encoding): Lane {
    const { framing } = session;
    const known = this.#lanes.find((lane) => lane.encoding === encoding && lane.framing === framing);
    if (known !== undefined) return known;
    const lane = new Lane(this.name, encoding, framing, this.#context, this.#loss);
    this.#lanes.push(lane);
    return lane;
  }
}

/** Whether `a` comes after `b`, or is of another epoch, in which nothing of `b`'s comes any more. */
function isPast(a: Position, b: Position): boolean {
  return a.epoch !== b.epoch || a.offset > b.offset;
}
