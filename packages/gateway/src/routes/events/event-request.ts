import { isLayerError } from '@busgate/layer';
import type { Answer, StreamedAnswer } from '../../answer.ts';
import { httpError } from '../../errors.ts';
import type { Timed } from '../../session/deadlines.ts';
import type { Leaving } from '../route.ts';
import type { DispatchContext } from './dispatch.ts';
import { headersOf, isSentWhole, WholeAnswer } from './whole-answer.ts';
import { leftEvent, requestEvent, type OpeningRequest, type Standing, type Subject } from './event.ts';
import type { Parsed } from './parse-reply.ts';
import { isPassed, Passing, type PassingContext } from './passing.ts';
import { Pieces } from './pieces.ts';
import type { Action, ReplyRefusal, Reply, State } from './reply.ts';
import { endWith } from '../../tracing.ts';

export interface EventRequestContext extends DispatchContext, Omit<PassingContext, 'tracing'> {
  /** Bytes of an answer that wait for the client. */
  readonly outbox: number;
  failed(error: unknown): void;
  ended(request: EventRequest): void;
}

type Start = Extract<Action, { type: 'start' }>;

/** No other worker ever gets a request. */
const LEASE = 1;

/** A plain request that is an event: what a worker replies is its answer, whole or piece by piece. */
export class EventRequest implements Timed {
  readonly subject: Subject;
  dueTick = -1;
  wheelNext: Timed | undefined;
  wheelBack: Timed | undefined;
  readonly #asked: OpeningRequest;
  readonly #body: Uint8Array;
  readonly #context: EventRequestContext;
  readonly #answer = Promise.withResolvers<Answer | StreamedAnswer>();
  #start: Start | undefined;
  #pieces: Pieces | undefined;
  /** Made with the first word to others. */
  #passing: Passing | undefined;
  #state: State = null;
  #queuedAt = 0;
  /** When its worker must have gone on with it. */
  #dueAt = 0;
  #isQueued = false;
  #isTold = false;
  #isOver = false;

  constructor(subject: Subject, asked: OpeningRequest, body: Uint8Array, context: EventRequestContext) {
    this.subject = subject;
    this.#asked = asked;
    this.#body = body;
    this.#context = context;
  }

  /** Asks for a worker. */
  async open(leaving: Leaving): Promise<Answer | StreamedAnswer> {
    const { backend, counters, settings, now, tracing } = this.#context;
    this.#queuedAt = now();
    this.#wait();
    counters.due += 1;
    try {
      const step = tracing?.asking(backend.queue ?? this.subject.route, 'http.request', this.#asked.traceparent);
      const event = requestEvent(this.subject, this.#standing(0), this.#asked, this.#body, step?.traceparent);
      const sending = endWith(step, backend.send(event, this.#delivery(0, settings.handlerTimeout)));
      leaving((how) => (how === 'gone' ? this.#left() : this.#tell()));
      await sending;
      if (!this.#isOver) this.#taken();
    } catch (error) {
      if (this.#isOver) return this.#answer.promise;
      counters.failed += 1;
      this.#end();
      if (isLayerError(error, 'CHANNEL_FULL')) return httpError('no_worker');
      throw error;
    }
    return this.#answer.promise;
  }

  /** 1 while a queue has taken it and nobody has handled it. */
  get inFlight(): number {
    return this.#isQueued && !this.#isOver ? 1 : 0;
  }

  /** What a worker replied. */
  take(parsed: Parsed): void {
    if (parsed.refused !== undefined) return this.#context.refused(parsed.refused, parsed.message);
    const { reply } = parsed;
    if (reply.lease === undefined || reply.lease === LEASE) this.#obey(reply);
    else this.#context.counters.stale += 1;
  }

  /** Resolves when the client has read most of what it was sent; undefined where it has. */
  room(): Promise<void> | undefined {
    return this.#pieces?.room();
  }

  onDue(): void {
    // The wheel's tick may come before its time is over.
    if (this.#dueAt > this.#context.now()) return this.#watch();
    if (!this.#isTold) this.#context.counters.timeouts.handler += 1;
    this.#giveUp();
  }

  #obey({ actions, state, done, working }: Reply): void {
    const refusal = this.#isOver ? undefined : this.#refusalOf(actions);
    if (refusal !== undefined) return this.#context.refused(refusal, `a worker replied ${actions[0]?.type} to a request`);
    if (state !== undefined) this.#state = state.value;
    for (const action of actions) this.#perform(action);
    this.#context.counters.replies += 1;
    if (working === 0 && !this.#isOver) this.#wait();
    if (done === 0 && !this.#isOver) this.#leaveUnfinished();
  }

  /** Why a reply of these cannot be now: it is dropped whole. */
  #refusalOf(actions: readonly Action[]): ReplyRefusal | undefined {
    let hasBegun = this.#start !== undefined;
    for (const action of actions) {
      if (isPassed(action)) continue;
      if ((action.type !== 'start' && action.type !== 'body') || action.of !== 'http') return 'not_allowed';
      // A start comes first, and once.
      if (hasBegun === (action.type === 'start')) return 'not_allowed';
      hasBegun = true;
      if (action.type === 'body' && this.#pieces === undefined && !action.more && !isSentWhole(action.body.length)) return 'too_large';
    }
    return undefined;
  }

  #perform(action: Action): void {
    if (isPassed(action)) {
      this.#passing ??= new Passing(this.subject.replyChannel, this.#context);
      return this.#passing.pass(action);
    }
    if (this.#isOver || (action.type !== 'start' && action.type !== 'body')) return;
    this.#wait();
    if (action.type === 'start') this.#start = action;
    else if (this.#start !== undefined) this.#piece(this.#start, action);
  }

  #piece(start: Start, { body, more }: Extract<Action, { type: 'body' }>): void {
    if (this.#pieces === undefined && !more) {
      const whole = new WholeAnswer(start.status, start.headers);
      whole.add(body);
      this.#answer.resolve(whole.answer());
      this.#handled();
      return;
    }
    if (this.#pieces === undefined) {
      this.#pieces = new Pieces(this.#context.outbox);
      this.#answer.resolve({ status: start.status, headers: headersOf(start.headers), pieces: this.#pieces });
    }
    if (!this.#pieces.add(body)) {
      this.#pieces.fail(new Error('the client reads its answer too slowly'));
      this.#left();
    } else if (!more) {
      this.#pieces.end();
      this.#handled();
    }
  }

  #taken(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#context.counters.queued += 1;
  }

  #handled(): void {
    // It was answered before the queue's word that it has taken it was heard.
    this.#taken();
    this.#context.counters.done(this.#context.now() - this.#queuedAt);
    this.#end();
  }

  #left(): void {
    if (this.#isOver) return;
    this.#tell();
    this.#abandon();
    this.#break('the client has left');
  }

  /** A worker that is at its answer is told that the client has left; what it answers all the same is passed on while it can be. */
  #tell(): void {
    if (this.#isOver || this.#isTold) return;
    this.#isTold = true;
    const { backend, settings } = this.#context;
    const event = leftEvent(this.subject, this.#standing(1));
    backend.send(event, this.#delivery(1, settings.handlerTimeout)).catch((error: unknown) => this.#context.failed(error));
  }

  #giveUp(): void {
    if (this.#isOver) return;
    this.#abandon();
    this.#break('the worker did not go on with its answer');
  }

  /** Its worker is done with it, and the answer is not whole. */
  #leaveUnfinished(): void {
    this.#handled();
    this.#break('the worker is done with the request and has not ended its answer');
  }

  /** An answer that has begun stays unfinished, so that nobody takes it for whole. */
  #break(reason: string): void {
    this.#answer.resolve(httpError('no_answer'));
    this.#pieces?.fail(new Error(reason));
  }

  #abandon(): void {
    this.#context.counters.abandoned('timeout', this.#isQueued ? 1 : 0, this.#isQueued ? 0 : 1);
    this.#end();
  }

  #end(): void {
    this.#isOver = true;
    this.#context.deadlines.cancel(this);
    this.#context.ended(this);
  }

  #wait(): void {
    const { now, settings } = this.#context;
    this.#dueAt = now() + settings.handlerTimeout;
    this.#watch();
  }

  #watch(): void {
    const { deadlines, now } = this.#context;
    deadlines.set(this, deadlines.now + deadlines.ticks(this.#dueAt - now()));
  }

  #standing(order: number): Standing {
    return { order, lease: LEASE, state: this.#state };
  }

  #delivery(order: number, expiryMs: number): Parameters<DispatchContext['backend']['send']>[1] {
    return { id: `${this.subject.session}:${order}`, expiryMs, ownQueue: undefined };
  }
}
