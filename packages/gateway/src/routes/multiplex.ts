import { type Answer, jsonAnswer, type WaitingAnswer } from '../answer.ts';
import type { MultiplexRouteConfig } from '../config/route-settings.ts';
import type { FrameErrorKey, HttpErrorKey, Refused } from '../errors.ts';
import type { HubRoom } from '../hub/room.ts';
import { Pace } from '../limits/pace.ts';
import type { Session } from '../session/session.ts';
import type { MultiplexContext } from './multiplex/context.ts';
import { type Join, MultiplexConversation } from './multiplex/conversation.ts';
import { parseFrame } from './multiplex/parse.ts';
import { askedOf, framesOf } from './multiplex/uplink.ts';
import { askedRooms } from './asked-rooms.ts';
import { questionOfRooms } from './polls/question.ts';
import { isPublishId } from './publish-id.ts';
import { type RouteRequest, traceparentOf } from './request.ts';
import type { UplinkOutcome, Uplinked, UplinkTaker } from './uplinks.ts';
import type { Asking, Opening, Posting, Route } from './route.ts';

/** What is wrong with a frame, where an answer has a word of its own for it. */
const FAULTS: Readonly<Partial<Record<FrameErrorKey, HttpErrorKey>>> = { bad_room: 'bad_room', too_large: 'body_too_large' };

/** Many rooms on one connection, JSON frames. What comes on a stream goes up by POST. */
export class MultiplexRoute implements Route, Posting, Asking, UplinkTaker {
  readonly path: MultiplexRouteConfig['path'];
  readonly messageLimit: number;
  readonly context: MultiplexContext;
  /** Those whose frames come in requests, and how far each is ahead of the rates, where there are any. */
  readonly #streams = new WeakMap<Session, Pace | undefined>();

  constructor(settings: MultiplexRouteConfig, context: MultiplexContext) {
    this.path = settings.path;
    this.messageLimit = context.limits.frame;
    this.context = context;
  }

  get posting(): Posting {
    return this;
  }

  get asking(): Asking {
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
    const asked = askedRooms(request, this.context.limits.rooms);
    if (typeof asked === 'string') return asked;
    const { rooms, sinceOf, last } = asked;
    const joins = rooms.map((room): Join => ({ type: 'join', room, since: sinceOf(room), last, ref: undefined }));
    return joins.length === 0 ? this.#opening([], []) : this.#hold(joins);
  }

  askedFault(request: RouteRequest): HttpErrorKey | undefined {
    const asked = askedRooms(request, this.context.limits.rooms);
    return typeof asked === 'string' ? asked : undefined;
  }

  isAsked({ asked, queryString, query }: RouteRequest): boolean {
    return asked !== undefined || (queryString !== '' && query.has('poll'));
  }

  /** Which rooms it asks for is known once they are read. */
  askDenial(): undefined {
    return undefined;
  }

  async ask(request: RouteRequest): Promise<Answer | WaitingAnswer | Refused> {
    const question = questionOfRooms(request, this.context.limits.rooms);
    const { rights, polls } = this.context;
    // Of no rooms: a client that was refused a WebSocket, and is not told why by its browser, finds it out so. Whatever would refuse it does.
    if (question === 'bad_room') return polls.denial(request) ?? question;
    if (typeof question === 'string') return question;
    for (const room of question.rooms) {
      const denial = rights.join.denial(room, request.identity);
      if (denial !== undefined) return denial;
    }
    return await polls.ask(question, request);
  }

  askedBy(request: RouteRequest, body: Uint8Array): RouteRequest['asked'] {
    return request.query.has('session') ? undefined : askedOf(request.headers, body);
  }

  postDenial(): undefined {
    return undefined;
  }

  /** Frames of a session, which answers them on its stream; or a message, which needs no session. Where a session is ahead of its rates none of them is taken. */
  async post(request: RouteRequest, body: Uint8Array): Promise<Answer | Refused> {
    const frames = framesOf(body);
    if (frames === undefined) return 'bad_request';
    if (!request.query.has('session')) return await this.#publish(frames, request);
    return await this.context.uplinks.post(this.path.text, request, body);
  }

  take({ session: id, user, body }: Uplinked): UplinkOutcome {
    const session = this.context.session(id);
    if (session === undefined || !session.isOpen || !this.#streams.has(session) || session.identity.user !== user) return 'no_session';
    const frames = framesOf(body) ?? [];
    if (this.#streams.get(session)?.takes(body.length, frames.length) === false) return 'rate';
    for (const frame of frames) session.receive(frame, false);
    return 'taken';
  }

  /** Once, however often it is sent with the same `id`, or else the same `Idempotency-Key`, as on the room's own path. */
  async #publish([first, ...others]: readonly Buffer[], { identity, headers }: RouteRequest): Promise<Answer | Refused> {
    const { hub, counters, limits, rights } = this.context;
    const frame = parseFrame(first?.toString() ?? '', limits.message);
    if (frame.type === 'fault') return FAULTS[frame.code] ?? 'bad_request';
    if (frame.type !== 'publish' || others.length > 0) return 'bad_request';
    const id = frame.id ?? headers['idempotency-key'];
    if (id !== undefined && !isPublishId(id)) return 'bad_id';
    const denial = rights.publish.denial(frame.room, identity);
    if (denial === undefined)
      return jsonAnswer(202, { room: frame.room, ...(await hub.publish(frame.room, frame.payload, 'http', id, frame.traceparent ?? traceparentOf(headers))) });
    counters.publishFailures.not_allowed += 1;
    return denial;
  }

  #opening(joins: readonly Join[], held: readonly HubRoom[]): Opening {
    return {
      kind: 'multiplex',
      begin: (session) => {
        if (session.transport !== 'websocket') this.#streams.set(session, Pace.ofMessages(this.context.reads, this.context.now));
        return new MultiplexConversation(session, this, joins, held);
      },
      cancel: () => {
        for (const room of held) room.release();
      },
    };
  }

  async #hold(joins: readonly Join[]): Promise<Opening> {
    return this.#opening(joins, await this.context.hub.holdAll(joins.map(({ room }) => room)));
  }
}
