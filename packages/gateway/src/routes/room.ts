import { isName } from '@busgate/layer';
import { type Answer, jsonAnswer, type WaitingAnswer } from '../answer.ts';
import type { RoomRouteConfig } from '../config/route-settings.ts';
import type { Counters, SessionTransport } from '../counters.ts';
import type { Rights } from '../auth/rights.ts';
import type { CloseKey, HttpErrorKey, Refused } from '../errors.ts';
import type { Encoding } from '../hub/encoding.ts';
import type { HubRoom } from '../hub/room.ts';
import type { Hub } from '../hub.ts';
import { publishFailure } from '../layer-errors.ts';
import type { Inbound } from '../inbound.ts';
import { type AskLimits, Quota } from '../limits/quota.ts';
import type { Log } from '../log.ts';
import type { Memory } from '../memory/memory.ts';
import type { Conversation } from '../session/conversation.ts';
import type { Session } from '../session/session.ts';
import { askedRoom, type AskFault } from './asked-rooms.ts';
import { Intake } from './intake.ts';
import { eventSheet } from '../session/link.ts';
import { rawEncoding } from './raw-encoding.ts';
import { questionOfRoom } from './polls/question.ts';
import type { Polls } from './polls.ts';
import { bringBack } from './returning.ts';
import { isPublishId } from './publish-id.ts';
import { type Params, type RouteRequest, traceparentOf } from './request.ts';
import type { Asking, Opening, Posting, Route } from './route.ts';

/** What rooms' routes share. */
interface RoomRouteContext {
  readonly hub: Hub;
  readonly counters: Counters;
  readonly inbound: Inbound;
  readonly memory: Pick<Memory, 'isFull'>;
  readonly rights: Rights;
  /** How often one session may publish. */
  readonly asks: AskLimits;
  readonly polls: Polls;
  readonly log: Log;
}

/** What a message under way costs beside its bytes. */
const MESSAGE_COST = 256;
/** Messages of one session that may be under way to the layer. */
const MAX_UNDER_WAY = 64;

/** Raw: each frame is a message of the room that the path names, to everybody in it, the sender included. */
export class RoomRoute implements Route, Posting, Asking {
  readonly path: RoomRouteConfig['path'];
  readonly messageLimit: number;
  readonly rights: Rights;
  readonly #hub: Hub;
  readonly #counters: Counters;
  readonly #inbound: Inbound;
  readonly #memory: Pick<Memory, 'isFull'>;
  readonly #polls: Polls;
  readonly #log: Log;
  readonly #encoding: Encoding;
  readonly #staysUnpublished: boolean;
  readonly #asks: AskLimits;

  /** `messageLimit` in bytes. */
  constructor(settings: RoomRouteConfig, messageLimit: number, { hub, counters, inbound, memory, rights, asks, polls, log }: RoomRouteContext) {
    this.path = settings.path;
    this.messageLimit = messageLimit;
    this.rights = rights;
    this.#hub = hub;
    this.#counters = counters;
    this.#inbound = inbound;
    this.#memory = memory;
    this.#polls = polls;
    this.#log = log;
    this.#asks = asks;
    this.#staysUnpublished = settings.onPublishFailure === 'stay';
    this.#encoding = rawEncoding(settings.frames, settings.onGap);
  }

  get posting(): Posting {
    return this;
  }

  get asking(): Asking {
    return this;
  }

  fault({ room }: Params): 'bad_room' | undefined {
    return isName(room) ? undefined : 'bad_room';
  }

  denial({ params, identity }: RouteRequest): Refused | undefined {
    return this.rights.join.denial(params['room'] ?? '', identity);
  }

  /** Where the request says where its client stood, what it missed comes first; where it asks for the newest messages, those do. */
  open(request: RouteRequest): Opening | AskFault | Promise<Opening> {
    const { room = '' } = request.params;
    const asked = askedRoom(room, request);
    if (typeof asked === 'string') return asked;
    const since = asked.sinceOf(room);
    const holding = this.#hub.hold(room);
    if (asked.last !== undefined && since === undefined) return this.#openLast(holding, asked.last);
    return holding instanceof Promise ? holding.then((held) => this.#open(held, since)) : this.#open(holding, since);
  }

  askedFault(request: RouteRequest): AskFault | undefined {
    const asked = askedRoom(request.params['room'] ?? '', request);
    return typeof asked === 'string' ? asked : undefined;
  }

  /** A poll, or a look at the history. */
  isAsked({ queryString, query }: RouteRequest): boolean {
    return queryString !== '' && (query.has('poll') || query.has('last') || query.has('since'));
  }

  askDenial(request: RouteRequest): Refused | undefined {
    return this.denial(request);
  }

  async ask(request: RouteRequest): Promise<Answer | WaitingAnswer | Refused> {
    const question = questionOfRoom(request.params['room'] ?? '', request);
    return typeof question === 'string' ? question : await this.#polls.ask(question, request);
  }

  postDenial({ params, identity }: RouteRequest): Refused | undefined {
    return this.rights.publish.denial(params['room'] ?? '', identity);
  }

  /** Publishes the body as it is; once, however often it is sent with the same `Idempotency-Key`. */
  async post({ params, headers }: RouteRequest, body: Uint8Array): Promise<Answer | HttpErrorKey> {
    const { room = '' } = params;
    const id = headers['idempotency-key'];
    if (id !== undefined && !isPublishId(id)) return 'bad_id';
    return jsonAnswer(202, { room, ...(await this.#hub.publish(room, body, 'http', id, traceparentOf(headers))) });
  }

  /** What a session's frame holds. Answers what the session ends with where the layer did not take it, since a raw socket has no words for it. */
  async publishFrame(room: string, payload: Buffer, transport: SessionTransport): Promise<CloseKey | undefined> {
    const cost = payload.length + MESSAGE_COST;
    if (this.#memory.isFull || !this.#inbound.take(cost)) {
      this.#counters.publishFailures[this.#memory.isFull ? 'full' : 'refused'] += 1;
      return this.#staysUnpublished ? undefined : 'full';
    }
    try {
      await this.#hub.publish(room, payload, transport);
      return undefined;
    } catch (error) {
      const key = publishFailure(error);
      if (key === 'internal') this.#log.error('a message could not be published', { error: String(error) });
      if (key === 'too_large') return key;
      return this.#staysUnpublished ? undefined : 'not_published';
    } finally {
      this.#inbound.give(cost);
    }
  }

  #join(room: HubRoom, session: Session): void {
    if (room.position !== undefined) session.mark(room.position);
    session.feed = room.join(session, this.#encoding);
  }

  refusePublish(): void {
    this.#counters.publishFailures.not_allowed += 1;
  }

  /** What counts the publishes of a session, where anything does. */
  quota(): Quota | undefined {
    return Quota.under(this.#asks);
  }

  /** A session published more often than it may. Whether that ends it: it does at once where nothing else could tell it, since a raw socket has no words for it. */
  exceeded(quota: Quota): boolean {
    this.#counters.publishFailures.rate += 1;
    return quota.refuse() || !this.#staysUnpublished;
  }

  async #openLast(holding: HubRoom | Promise<HubRoom>, last: number): Promise<Opening> {
    const room = await holding;
    try {
      return this.#open(room, room.position === undefined ? undefined : await this.#hub.before(room.name, last));
    } catch (error) {
      room.release();
      throw error;
    }
  }

  #open(room: HubRoom, since: string | undefined): Opening {
    return {
      kind: 'room',
      begin: (session) => {
        if (since === undefined) this.#join(room, session);
        else void bringBack(this.#hub, room, session, this.#encoding, since);
        return new RoomConversation(session, room.name, this);
      },
      cancel: () => room.release(),
    };
  }
}

class RoomConversation implements Conversation {
  readonly #session: Session;
  readonly #room: string;
  readonly #route: RoomRoute;
  #mayPublish: boolean;
  readonly #quota: Quota | undefined;
  #intake: Intake | undefined;

  constructor(session: Session, room: string, route: RoomRoute) {
    this.#session = session;
    this.#room = room;
    this.#route = route;
    this.#mayPublish = route.rights.publish.allows(room, session.identity);
    this.#quota = route.quota();
  }

  get route(): string {
    return this.#route.path.text;
  }

  get rooms(): readonly string[] {
    return [this.#room];
  }

  text(data: Buffer): void {
    this.binary(data);
  }

  binary(data: Buffer): void {
    if (!this.#mayPublish) {
      this.#route.refusePublish();
      return this.#session.close('not_allowed');
    }
    if (this.#quota === undefined || this.#quota.mayPublish()) void this.#publish(data);
    else if (this.#route.exceeded(this.#quota)) this.#session.close('rate');
  }

  /** A raw socket has no words for it: the close frame says it. */
  announceDrain(afterMs: number): void {
    if (this.#session.framing.mark !== undefined) this.#session.sendAll([eventSheet('reconnect', { after: Math.round(afterMs) })], 0);
  }

  identified(): void {
    const { join, publish } = this.#route.rights;
    this.#mayPublish = publish.allows(this.#room, this.#session.identity);
    if (!join.allows(this.#room, this.#session.identity)) this.#session.close('not_allowed');
  }

  end(): void {}

  async #publish(data: Buffer): Promise<void> {
    const intake = (this.#intake ??= new Intake(this.#session, MAX_UNDER_WAY));
    intake.spend();
    const fault = await this.#route.publishFrame(this.#room, data, this.#session.transport);
    intake.refill();
    if (fault !== undefined) this.#session.close(fault);
  }
}
