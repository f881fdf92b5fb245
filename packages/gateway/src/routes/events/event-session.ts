import { isUtf8 } from 'node:buffer';
import type { ChannelLayer } from '@busgate/layer';
import type { Answer } from '../../answer.ts';
import type { End, HttpErrorKey } from '../../errors.ts';
import type { Inbound } from '../../inbound.ts';
import type { Conversation } from '../../session/conversation.ts';
import { eventSheet } from '../../session/link.ts';
import type { Session } from '../../session/session.ts';
import type { Encoding } from '../../hub/encoding.ts';
import type { Hub } from '../../hub.ts';
import type { Opening } from '../route.ts';
import type { Backend } from './backend.ts';
import { CLOSES, DISOWNED, LOST, NOT_LET_ON, NOT_TAKEN_OVER, WORKER_LOST } from './ends.ts';
import { WholeAnswer } from './whole-answer.ts';
import { Dispatch, type DispatchContext, type DispatchOwner } from './dispatch.ts';
import type { Failure } from './failure.ts';
import { subprotocolsOf, type OpeningRequest, type Subject } from './event.ts';
import type { Parsed } from './parse-reply.ts';
import { Posted } from './posted.ts';
import { isPassed, Passing } from './passing.ts';
import type { Action, ReplyRefusal } from './reply.ts';
import { SessionRooms } from './session-rooms.ts';
import type { UplinkOutcome } from '../uplinks.ts';
import type { Charge, OwnWorkers } from './workers.ts';

/** What the sessions of an event route share. */
export interface EventSessionContext extends DispatchContext {
  /** The path, as the settings say it. */
  readonly route: string;
  readonly kind: 'events' | 'consumer';
  readonly backend: Backend;
  readonly layer: Pick<ChannelLayer, 'groupAdd' | 'groupDiscard' | 'groupSend'>;
  readonly hub: Hub;
  readonly workers: OwnWorkers;
  readonly encoding: Encoding;
  readonly inbound: Inbound;
  /** Rooms of one session. */
  readonly rooms: number;
  /** A reply was not obeyed, or what it asked for could not be done. */
  refused(refusal: ReplyRefusal, message: string): void;
  /** Something of ours failed. */
  failed(error: unknown): void;
  /** Nothing more is to be said about the session. */
  ended(session: EventSession): void;
}

type Phase = 'asking' | 'accepted' | 'open' | 'over';

/** A socket whose logic lives in workers: what they reply is done, what the client sends is told to them. */
export class EventSession implements Conversation, DispatchOwner, Charge {
  readonly subject: Subject;
  readonly asked: OpeningRequest;
  readonly #context: EventSessionContext;
  readonly #dispatch: Dispatch;
  readonly #opening = Promise.withResolvers<Opening | Answer | HttpErrorKey>();
  #phase: Phase = 'asking';
  #session: Session | undefined;
  #rooms: SessionRooms | undefined;
  /** Made with the first join or word to others: most sessions have none. */
  #passing: Passing | undefined;
  #denial: WholeAnswer | undefined;
  /** What is to be done once the session has its link. */
  #early: Action[] = [];
  /** The worker whose silence matters. */
  #watched: string | undefined;
  #isReading = true;
  /** Resolves when what waits for the client has left, for all who wait for that. */
  #draining: Promise<boolean> | undefined;
  /** Where its wire only comes down. */
  #posted: Posted | undefined;

  constructor(subject: Subject, asked: OpeningRequest, context: EventSessionContext) {
    this.subject = subject;
    this.asked = asked;
    this.#context = context;
    this.#dispatch = new Dispatch(this, context);
  }

  /** Events that a queue has taken and nobody has handled. */
  get inFlight(): number {
    return this.#dispatch.queued;
  }

  get route(): string {
    return this.#context.route;
  }

  get rooms(): readonly string[] {
    return this.#rooms?.names ?? [];
  }

  /** Asks for a worker; resolves with what the client is answered. */
  open(): Promise<Opening | Answer | HttpErrorKey> {
    void this.#dispatch.connect();
    return this.#opening.promise;
  }

  /** The client has gone before it was answered. */
  left(): void {
    this.#refuse('no_worker', LOST);
  }

  /** What a worker replied. */
  take(parsed: Parsed): void {
    if (parsed.refused !== undefined) return this.#context.refused(parsed.refused, parsed.message);
    const { actions, state, done, working, lease } = parsed.reply;
    const { counters } = this.#context;
    if (lease !== undefined && lease !== this.#dispatch.lease) {
      counters.stale += 1;
      return;
    }
    const [first] = actions;
    const refusal = first === undefined ? undefined : this.#refusalOf(first);
    if (refusal !== undefined) return this.#context.refused(refusal, `a worker replied ${first?.type} to a session that is ${this.#phase}`);
    if (state !== undefined) this.#dispatch.state = state.value;
    for (const action of actions) this.#obey(action);
    counters.replies += 1;
    if (working !== undefined) this.#dispatch.working(working);
    if (done !== undefined) this.#done(done);
  }

  /** Resolves when the client has read most of what it was sent; undefined where it has. */
  room(): Promise<void> | undefined {
    const session = this.#session;
    return session === undefined || session.outbox.bytes === 0 ? undefined : this.#drained(session).then(() => undefined);
  }

  text(data: Buffer): void {
    this.#dispatch.receive({ data: own(data), binary: false });
  }

  binary(data: Buffer): void {
    this.#dispatch.receive({ data: own(data), binary: true });
  }

  /** What the client posts, where its wire only comes down. */
  post(body: Uint8Array): UplinkOutcome | Promise<UplinkOutcome> {
    return this.#posted === undefined || this.#phase === 'over' ? 'no_session' : this.#posted.take(body);
  }

  /** A socket has no words for it: the close says it. */
  announceDrain(afterMs: number): void {
    if (this.#posted !== undefined) this.#session?.sendAll([eventSheet('reconnect', { after: Math.round(afterMs) })], 0);
  }

  end(end: End): void {
    this.#phase = 'over';
    this.#posted?.end();
    this.#dispatch.finish(end);
  }

  wants(more: boolean): void {
    if (more === this.#isReading) return;
    this.#isReading = more;
    if (more) this.#session?.resume();
    else this.#session?.pause();
    if (more) this.#posted?.go();
  }

  failed(failure: Failure, error?: unknown): void {
    if (failure === 'failed') this.#context.failed(error);
    if (this.#phase === 'asking') this.#refuse(failure === 'away' ? 'away' : failure === 'failed' ? 'internal' : 'no_worker', LOST);
    else this.#close(CLOSES[failure]);
  }

  finished(): void {
    this.#unwatch(true);
    this.#context.ended(this);
  }

  workerStops(): void {
    this.#dispatch.stopping();
  }

  workerLost(): void {
    this.#watched = undefined;
    if (this.#context.settings.onWorkerLoss === 'resume') return this.#dispatch.lost();
    this.#dispatch.abandoned();
    this.#close(WORKER_LOST);
  }

  /** This process was taken for dead, and others have spoken for the session. */
  disown(): void {
    this.#dispatch.disown();
    if (this.#phase === 'asking') this.#refuse('away', LOST);
    else this.#close(DISOWNED);
  }

  /** Why a reply that begins with this cannot be now: it is dropped whole. What may follow in the same one depends on that alone. */
  #refusalOf(action: Action): ReplyRefusal | undefined {
    switch (action.type) {
      case 'accept':
        return this.#acceptRefusal(action);
      case 'start':
      case 'body':
        return this.#denialRefusal(action);
      case 'release':
        return this.#dispatch.ownQueue === undefined ? 'not_allowed' : undefined;
      case 'send':
      case 'join':
      case 'leave':
        return this.#phase === 'asking' ? 'not_accepted' : undefined;
      default:
        return undefined;
    }
  }

  #acceptRefusal({ subprotocol }: Extract<Action, { type: 'accept' }>): ReplyRefusal | undefined {
    if (!this.#dispatch.isAsking) return 'accepted_twice';
    if (this.#phase !== 'asking' || subprotocol === undefined) return undefined;
    return subprotocolsOf(this.asked.rawHeaders).includes(subprotocol) ? undefined : 'not_offered';
  }

  #denialRefusal(action: Extract<Action, { type: 'start' | 'body' }>): ReplyRefusal | undefined {
    if (!this.#dispatch.isAsking || action.of !== 'websocket') return 'not_allowed';
    if (action.type === 'start') return undefined;
    if (this.#denial === undefined) return 'not_allowed';
    return this.#denial.hasRoom(action.body) ? undefined : 'too_large';
  }

  #obey(action: Action): void {
    if (this.#phase === 'accepted' && action.type !== 'group') this.#early.push(action);
    else this.#perform(action);
  }

  #perform(action: Action): void {
    if (isPassed(action)) return this.#others.pass(action);
    switch (action.type) {
      case 'accept':
        return this.#accept(action);
      case 'close':
        return this.#end(action);
      case 'start':
      case 'body':
        return this.#deny(action);
      case 'release':
        return this.#release();
      case 'send':
      case 'join':
      case 'leave':
        return this.#serve(action);
    }
  }

  get #others(): Passing {
    this.#passing ??= new Passing(this.subject.replyChannel, this.#context);
    return this.#passing;
  }

  #accept({ subprotocol, headers, queue, window }: Extract<Action, { type: 'accept' }>): void {
    const ownQueue = this.#context.backend.queue === undefined ? undefined : queue;
    if (this.#phase === 'asking') {
      this.#phase = 'accepted';
      this.#opening.resolve({
        kind: this.#context.kind,
        id: this.subject.session,
        greeting: { subprotocol, headers },
        begin: (session) => this.#begin(session),
        cancel: () => this.end(LOST),
      });
    }
    this.#watch(ownQueue);
    this.#dispatch.accepted(ownQueue, window);
  }

  #begin(session: Session): Conversation {
    this.#session = session;
    if (!this.#isReading) session.pause();
    if (session.transport !== 'websocket') this.#beginStream(session);
    // The session is still being made: what may end it comes after.
    queueMicrotask(() => this.#start());
    return this;
  }

  /** Its client posts to the session that it is told. */
  #beginStream(session: Session): void {
    const give = (body: Uint8Array): void => this.#dispatch.receive({ data: own(body), binary: !isUtf8(body) });
    this.#posted = new Posted(this.#context.inbound, give, () => this.#isReading);
    session.sendAll([eventSheet('welcome', { session: this.subject.session })], 0);
  }

  #start(): void {
    if (this.#phase !== 'accepted') return;
    this.#phase = 'open';
    const early = this.#early;
    this.#early = [];
    for (const action of early) this.#obey(action);
  }

  #done(order: number): void {
    const isUndecided = this.#dispatch.isAsking && order === this.#dispatch.askedOrder;
    if (isUndecided) this.#end(this.#phase === 'asking' ? LOST : NOT_TAKEN_OVER);
    else this.#dispatch.done(order);
  }

  /** By a worker's wish: before the accept it is a refusal, and in place of one it answers the connect. */
  #end(end: End): void {
    if (this.#phase === 'asking') return this.#refuse('not_allowed', end);
    this.#dispatch.refused();
    this.#close(end);
  }

  #deny(action: Extract<Action, { type: 'start' | 'body' }>): void {
    if (action.type === 'start') {
      this.#denial = new WholeAnswer(action.status, action.headers);
      return;
    }
    this.#denial?.add(action.body);
    if (action.more || this.#denial === undefined) return;
    // A client that another worker had before is open, and is told by a code.
    if (this.#phase === 'asking') this.#refuse(this.#denial.answer(), LOST);
    else this.#end(this.#denial.isOurFault ? NOT_TAKEN_OVER : NOT_LET_ON);
  }

  #serve(action: Extract<Action, { type: 'send' | 'join' | 'leave' }>): void {
    const session = this.#session;
    if (session === undefined || this.#phase === 'over') return;
    if (action.type === 'send') {
      session.sendAll([{ binary: action.binary, parts: [action.payload], length: action.payload.length, position: undefined }], 0);
      return;
    }
    this.#rooms ??= this.#createRooms(session);
    if (action.type === 'leave') void this.#rooms.leave(action.room);
    else this.#join(this.#rooms, action);
  }

  #createRooms(session: Session): SessionRooms {
    const { hub, encoding, rooms: limit } = this.#context;
    return new SessionRooms(session, { hub, encoding, limit, drained: () => this.#drained(session) });
  }

  #drained(session: Session): Promise<boolean> {
    this.#draining ??= session.drained().finally(() => {
      this.#draining = undefined;
    });
    return this.#draining;
  }

  #join(rooms: SessionRooms, join: Extract<Action, { type: 'join' }>): void {
    const joined = rooms.join(join);
    // Where it begins with what the room keeps, what is published meanwhile is there.
    if (join.since === undefined && join.last === undefined) this.#others.enterRoom(join.room, joined);
    joined.then(
      (isIn) => {
        if (!isIn) this.#context.refused('not_allowed', `a session is in as many rooms as it may, and cannot join ${join.room}`);
      },
      (error: unknown) => this.#context.refused('failed', `a session could not join ${join.room}: ${String(error)}`),
    );
  }

  #release(): void {
    if (this.#dispatch.ownQueue === undefined) return;
    this.#unwatch();
    this.#dispatch.released();
  }

  #watch(queue: string | undefined): void {
    const { backend, workers } = this.#context;
    this.#unwatch();
    this.#watched = queue;
    if (queue !== undefined && backend.queue !== undefined) workers.join(queue, this, backend.queue);
  }

  /** `isTold`: the worker is told the end of the session. */
  #unwatch(isTold = false): void {
    if (this.#watched !== undefined) this.#context.workers.leave(this.#watched, this, isTold);
    this.#watched = undefined;
  }

  /** Before the session has begun. `end` is what the worker is told. */
  #refuse(answer: Answer | HttpErrorKey, end: End): void {
    if (this.#phase !== 'asking') return;
    this.#phase = 'over';
    this.#opening.resolve(answer);
    this.#dispatch.refused();
    this.#dispatch.finish({ code: end.code, reason: end.reason });
  }

  #close({ code, reason }: End): void {
    if (this.#phase === 'over') return;
    if (this.#phase === 'accepted') this.#early.push({ type: 'close', code, reason });
    else this.#session?.close({ code, reason });
  }
}

/** What is kept until it is handled must not keep the 64 KiB alive that it was read with. */
function own(data: Uint8Array): Uint8Array {
  return data.length * 2 < data.buffer.byteLength ? new Uint8Array(data) : data;
}
