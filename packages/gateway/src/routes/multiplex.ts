import { type Answer, jsonAnswer } from '../answer.ts';
import type { MultiplexRoute as Settings } from '../config/route-settings.ts';
import type { FrameErrorKey, HttpErrorKey, Refused } from '../errors.ts';
import type { HubRoom } from '../hub/room.ts';
import type { Identity } from '../identity.ts';
import { Pace } from '../limits/pace.ts';
import type { Session } from '../session/session.ts';
import { askedRooms } from './multiplex/asked-rooms.ts';
import type { MultiplexContext } from './multiplex/context.ts';
import { type Join, MultiplexConversation } from './multiplex/conversation.ts';
import { parseFrame } from './multiplex/parse.ts';
import { framesOf } from './multiplex/uplink.ts';
import type { RouteRequest } from './request.ts';
import type { Opening, Posting, Route } from './route.ts';

/** What is wrong with a frame, where an answer has a word of its own for it. */
const FAULTS: Readonly<Partial<Record<FrameErrorKey, HttpErrorKey>>> = { bad_room: 'bad_room', too_large: 'body_too_large' };

/** Many rooms on one connection, JSON frames. What comes on a stream goes up by POST. */
export class MultiplexRoute implements Route, Posting {
  readonly path: Settings['path'];
  readonly messageLimit: number;
  readonly context: MultiplexContext;
  /** Those whose frames come in requests, and how far each is ahead of the rates, where there are any. */
  readonly #streams = new WeakMap<Session, Pace | undefined>();

  constructor(settings: Settings, context: MultiplexContext) {
    this.path = settings.path;
    this.messageLimit = context.limits.frame;
    this.context = context;
  }

  get posting(): Posting {
    return this;
  }

  fault(): undefined {
    return undefined;
  }

  /** Rooms that it names and may not join are told one by one, and hinder no others. */
  denial(): undefined {
    return undefined;
  }

  open(request: RouteRequest): Opening | HttpErrorKey | Promise<Opening> {
    const joins = askedRooms(request);
    if (typeof joins === 'string') return joins;
    return joins.length === 0 ? this.#opening([], []) : this.#hold(joins);
  }

  postDenial(): undefined {
    return undefined;
  }

  /** Frames of a session, which answers them on its stream; or a message, which needs no session. Where a session is ahead of its rates none of them is taken. */
  async post({ query, identity }: RouteRequest, body: Uint8Array): Promise<Answer | Refused> {
    const frames = framesOf(body);
    if (frames === undefined) return 'bad_request';
    if (!query.has('session')) return await this.#publish(frames, identity);
    const session = this.context.session(query.get('session') ?? '');
    if (session === undefined || !session.isOpen || !this.#streams.has(session) || session.identity.user !== identity.user) return 'no_session';
    if (this.#streams.get(session)?.takes(body.length, frames.length) === false) return 'rate';
    for (const frame of frames) session.receive(frame, false);
    return jsonAnswer(202, {});
  }

  async #publish([first, ...others]: readonly Buffer[], identity: Identity): Promise<Answer | Refused> {
    const { hub, counters, limits, rights } = this.context;
    const frame = parseFrame(first?.toString() ?? '', limits.message);
    if (frame.type === 'fault') return FAULTS[frame.code] ?? 'bad_request';
    if (frame.type !== 'publish' || others.length > 0) return 'bad_request';
    const denial = rights.publish.denial(frame.room, identity);
    if (denial === undefined) return jsonAnswer(202, { room: frame.room, ...(await hub.publish(frame.room, frame.payload, 'http', frame.id)) });
    counters.publishFailures.not_allowed += 1;
    return denial;
  }

  #opening(joins: readonly Join[], held: readonly HubRoom[]): Opening {
    return {
      begin: (session) => {
        if (session.transport !== 'websocket') this.#streams.set(session, Pace.ofMessages(this.context.reads, this.context.now));
        return new MultiplexConversation(session, this, joins, held);
      },
      cancel: () => {
        for (const room of held) room.release();
      },
    };
  }

  /** All of them, or none. */
  async #hold(joins: readonly Join[]): Promise<Opening> {
    const settled = await Promise.allSettled(joins.map(async ({ room }) => await this.context.hub.hold(room)));
    const held = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = settled.find((one) => one.status === 'rejected');
    if (failed === undefined) return this.#opening(joins, held);
    for (const room of held) room.release();
    throw failed.reason;
  }
}
