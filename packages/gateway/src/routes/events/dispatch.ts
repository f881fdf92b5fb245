import type { Message } from '@busgate/layer';
import type { End } from '../../errors.ts';
import type { Deadlines, Timed } from '../../session/deadlines.ts';
import type { Backend } from './backend.ts';
import type { EventCounters } from './counters.ts';
import { connectEvent, type OpeningRequest, disconnectEvent, receiveEvent, type Standing, type Subject } from './event.ts';
import { type Failure, failureOf } from './failure.ts';
import { Flow, type Frame } from './flow.ts';
import type { Tracing } from '../../tracing.ts';
import type { State } from './reply.ts';
import type { EventSettings } from './settings.ts';

/** A queue that is full, or a broker that is away, is asked again after so long, twice as long each time, in milliseconds. */
const FIRST_WAIT_MS = 20;
const LONGEST_WAIT_MS = 1000;
/** What a queue says of an event's end where it was never told the real one: its gateway died. */
const DIED: End = { code: 1006, reason: '' };

/** What a session's events need of the session. */
export interface DispatchOwner {
  readonly subject: Subject;
  readonly asked: OpeningRequest;
  /** Whether the client's next message is wanted, or is to stay unread. */
  wants(more: boolean): void;
  /** A worker that has the session is silent, or answers too late; or nobody takes it. `error` where something of ours failed. */
  failed(failure: Failure, error?: unknown): void;
  /** Everything has been said about this session. */
  finished(): void;
}

export interface DispatchContext {
  readonly settings: EventSettings;
  readonly backend: Backend;
  readonly counters: EventCounters;
  readonly deadlines: Deadlines;
  /** Milliseconds, never going back. */
  readonly now: () => number;
  /** Resolves after so many milliseconds. */
  readonly sleep: (ms: number) => Promise<void>;
  /** Undefined: nobody follows traces. */
  readonly tracing?: Tracing | undefined;
}

/**
 * Gives a session's events to workers: one after the other, as many at once as the window allows, each until its worker has said that it is done. What waits is
 * one message of the client, who is not read meanwhile. The end is told last, exactly once.
 */
export class Dispatch implements Timed {
  dueTick = -1;
  wheelNext: Timed | undefined;
  wheelBack: Timed | undefined;
  readonly #owner: DispatchOwner;
  readonly #context: DispatchContext;
  readonly #flow = new Flow();
  #waiting: Frame[] = [];
  #lease = 1;
  #state: State = null;
  #ownQueue: string | undefined;
  /** Of the worker that had the session before, until another one has it. */
  #formerQueue: string | undefined;
  /** The order of the connect that waits for its accept; undefined once a worker has the session. */
  #asking: number | undefined;
  /** Whether a worker has ever had it. */
  #isAccepted = false;
  /** The worker with the session takes nothing more. */
  #isStopping = false;
  /** What is held for the case of this process's death says something old. */
  #isHeldOld = false;
  #isPumping = false;
  #end: End | undefined;
  /** Others speak for the session, or it has been spoken for: nothing more is queued. */
  #isOver = false;

  constructor(owner: DispatchOwner, context: DispatchContext) {
    this.#owner = owner;
    this.#context = context;
  }

  get lease(): number {
    return this.#lease;
  }

  /** The queue of the worker that has the session, where it is not the route's. */
  get ownQueue(): string | undefined {
    return this.#ownQueue;
  }

  /** Events that a queue has taken and nobody has handled. */
  get queued(): number {
    return this.#flow.queued;
  }

  /** Whether a connect waits for a worker's accept. */
  get isAsking(): boolean {
    return this.#asking !== undefined;
  }

  /** The order of that connect. */
  get askedOrder(): number | undefined {
    return this.#asking;
  }

  set state(state: State) {
    this.#state = state;
    this.#isHeldOld = true;
  }

  /** Queues the connect. What goes wrong is told to the owner. */
  async connect(): Promise<void> {
    try {
      await this.#context.backend.hold(this.#owner.subject.session, this.#testament());
    } catch (error) {
      return this.#withdraw(failureOf(error), error);
    }
    // The client may have gone meanwhile: nobody was told of it.
    if (this.#end === undefined) await this.#ask(this.#context.settings.acceptTimeout, false);
    else this.#withdraw();
  }

  /** A worker has taken the session: events may follow, to a queue of its own where it says so. */
  accepted(ownQueue: string | undefined, window: number | undefined): void {
    const order = this.#asking;
    if (order === undefined) return;
    const { settings, now } = this.#context;
    this.#asking = undefined;
    this.#isAccepted = true;
    this.#isStopping = false;
    this.#formerQueue = undefined;
    if (ownQueue !== undefined) {
      this.#ownQueue = ownQueue;
      void this.#holdAnew();
    }
    this.#flow.window = window ?? settings.window;
    this.#flow.working(order, now(), settings.handlerTimeout);
    if (!settings.acks) this.done(order);
    this.#watch();
    void this.#pump();
  }

  /** A worker has refused the session, or ended what it was asked to take over: with its answer the connect is handled, and what waits is nobody's. */
  refused(): void {
    const order = this.#asking;
    this.#asking = undefined;
    this.#formerQueue = undefined;
    if (order === undefined) return;
    this.#waiting = [];
    this.done(order);
  }

  /** A message of the client. */
  receive(frame: Frame): void {
    if (this.#isOver || this.#end !== undefined) return;
    this.#waiting.push(frame);
    void this.#pump();
    if (this.#waiting.length > 0) this.#owner.wants(false);
  }

  /** The event of this order has been handled. False where none such is in flight. */
  done(order: number): boolean {
    const { counters, now } = this.#context;
    const done = this.#flow.done(order, now());
    if (done === undefined) return false;
    // Its worker was quicker than the queue's answer.
    if (!done.isQueued) counters.queued += 1;
    counters.done(done.ms);
    void this.#pump();
    return true;
  }

  /** Its time begins anew, as long as there is a client: where its reader keeps the order, the end need not wait for it any longer than that. */
  working(order: number): void {
    if (this.#end !== undefined && this.#flow.isWide) return;
    this.#flow.working(order, this.#context.now(), this.#context.settings.handlerTimeout);
  }

  /** The worker with the session stops: it handles what it has, and is given nothing more. */
  stopping(): void {
    this.#isStopping = true;
  }

  /** The worker gives the session back: what it has not handled it has not begun, and another one gets it; but for what a broker has lost, whose turn is over. */
  released(): void {
    this.#leaveWorker();
    const { undone, unqueued, overtaken, frames } = this.#flow.abandon();
    this.#context.counters.abandoned('returned', undone, unqueued);
    this.#waiting = [...frames, ...this.#waiting];
    void this.#resume(overtaken === 0 ? undefined : overtaken);
  }

  /** The worker with the session has died, with what it had: another one gets the session. */
  lost(): void {
    void this.#resume(this.#bereave());
  }

  /** The same, and no other one gets it: what waits is nobody's. */
  abandoned(): void {
    this.#bereave();
    this.#waiting = [];
    void this.#pump();
  }

  /** The client has gone, or was closed: the worker is told so after everything that came before, and never where no connect was queued. */
  finish(end: End): void {
    if (this.#end !== undefined || this.#isOver) return;
    this.#end = end;
    if (this.#flow.next > 0) void this.#pump();
  }

  /** Nothing more is queued: this process was taken for dead, and others have spoken for the session. */
  disown(): void {
    this.#isOver = true;
    this.#giveUp();
    this.#owner.finished();
  }

  onDue(): void {
    if (this.#flow.dueAt > this.#context.now()) return this.#watch();
    const { counters } = this.#context;
    if (this.#asking === undefined) {
      counters.timeouts.handler += 1;
      this.#giveUp();
      this.#owner.failed('handler_timeout');
    } else {
      counters.timeouts[this.#isAccepted ? 'resume' : 'accept'] += 1;
      this.#giveUp();
      this.#owner.failed(this.#isAccepted ? 'resume_timeout' : 'accept_timeout');
    }
    void this.#pump();
  }

  /** Answers how many events were not finished: those, too, that were on their way into the queue of the worker that died. */
  #bereave(): number {
    const { undone, unqueued } = this.#flow.abandon();
    this.#context.counters.abandoned('lost', undone, unqueued);
    this.#leaveWorker();
    return undone + unqueued;
  }

  #leaveWorker(): void {
    this.#formerQueue = this.#ownQueue ?? this.#formerQueue;
    this.#ownQueue = undefined;
  }

  /** Nobody was told of the session, and nobody will be. */
  #withdraw(failure?: Failure | 'unknown', error?: unknown): void {
    this.#isOver = true;
    this.#giveUp();
    this.#context.backend.settle(this.#owner.subject.session, undefined, undefined).catch(() => undefined);
    if (failure !== undefined) this.#owner.failed(failure === 'unknown' ? 'failed' : failure, error);
    this.#owner.finished();
  }

  /** Waits for nobody any more. */
  #giveUp(): void {
    this.#asking = undefined;
    this.#waiting = [];
    const { undone, unqueued } = this.#flow.abandon();
    this.#context.counters.abandoned('timeout', undone, unqueued);
    this.#context.deadlines.cancel(this);
  }

  /** Another worker is to have the session, or, where the client has gone and all was handled, its end. */
  async #resume(undone?: number): Promise<void> {
    if (this.#isOver) return;
    this.#lease += 1;
    this.#isStopping = false;
    this.#isHeldOld = true;
    if (this.#end !== undefined && this.#waiting.length === 0) return this.#pump();
    await this.#ask(this.#context.settings.resumeTimeout, true, undone);
  }

  async #ask(lifetime: number, resumed: boolean, undone?: number): Promise<void> {
    const { backend } = this.#context;
    const order = this.#flow.begin(this.#context.now(), lifetime);
    this.#asking = order;
    this.#watch();
    if (resumed && !(await this.#patiently(() => backend.hold(this.#owner.subject.session, this.#testament()), order))) return;
    this.#isHeldOld = false;
    const { subject, asked } = this.#owner;
    // The request that a session began with is over when another worker is asked.
    const step = resumed ? undefined : this.#context.tracing?.asking(backend.queue ?? subject.route, 'websocket.connect', asked.traceparent);
    const event = connectEvent(subject, this.#standing(order), asked, { resumed, undone, traceparent: step?.traceparent });
    const taken = await this.#queue(event, order, lifetime, resumed ? undefined : (failure, error) => this.#withdraw(failure, error));
    step?.end(taken ? undefined : 'not_queued');
  }

  /** Sends what waits, as far as the window goes; and the end, when there is nothing before it. */
  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      while (this.#maySend()) await this.#sendNext();
      if (this.#end !== undefined && !this.#isOver && this.#waiting.length === 0 && this.#flow.isIdle) await this.#settle(this.#end);
    } finally {
      this.#isPumping = false;
    }
    if (this.#waiting.length === 0 && this.#end === undefined) this.#owner.wants(true);
  }

  #maySend(): boolean {
    return this.#waiting.length > 0 && !this.#isOver && !this.#isStopping && this.#isAccepted && this.#asking === undefined && this.#flow.isOpen;
  }

  async #sendNext(): Promise<void> {
    const { settings, backend, now } = this.#context;
    const frame = this.#waiting.shift();
    if (frame === undefined) return;
    // What a worker of its own gives back goes to another one: it is kept until it was handled.
    const order = this.#flow.begin(now(), settings.handlerTimeout, this.#ownQueue === undefined ? undefined : frame);
    this.#watch();
    if (this.#isHeldOld) {
      this.#isHeldOld = false;
      if (!(await this.#patiently(() => backend.hold(this.#owner.subject.session, this.#testament()), order))) return;
    }
    const { subject } = this.#owner;
    const taken = await this.#queue(receiveEvent(subject, this.#standing(order), frame.data, frame.binary), order, settings.handlerTimeout);
    if (taken && !settings.acks) this.done(order);
  }

  /** Queues an event, however long that takes within its time. `impatient`: told where nothing was queued, instead of trying again. */
  async #queue(event: Message, order: number, expiryMs: number, impatient?: (failure: Failure, error: unknown) => void): Promise<boolean> {
    const { backend, counters } = this.#context;
    counters.due += 1;
    const delivery = { id: `${this.#owner.subject.session}:${order}`, expiryMs, ownQueue: this.#ownQueue };
    const before = this.#flow.abandonments;
    const taken = await this.#patiently(() => backend.send(event, delivery), order, impatient);
    // What was handled or given up before it was known to be taken has been counted.
    if (!taken || !this.#flow.has(order)) return taken && this.#flow.abandonments === before;
    counters.queued += 1;
    this.#flow.taken(order);
    return true;
  }

  /** Makes the call again and again while the event of this order is in flight. It does nothing a second time, so that one whose outcome is unknown may be made again. */
  async #patiently(call: () => Promise<unknown>, order: number, impatient?: (failure: Failure, error: unknown) => void): Promise<boolean> {
    const before = this.#flow.abandonments;
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(LONGEST_WAIT_MS, wait * 2)) {
      try {
        await call();
        return true;
      } catch (error) {
        const failure = failureOf(error);
        if (failure !== 'unknown' && (failure === 'failed' || impatient !== undefined)) {
          (impatient ?? this.#fail)(failure, error);
          return false;
        }
      }
      await this.#context.sleep(wait * (0.5 + Math.random()));
      if (this.#flow.abandonments !== before || this.#isOver) return false;
      // A worker has answered it: it had been queued.
      if (!this.#flow.has(order)) return true;
    }
  }

  readonly #fail = (failure: Failure, error: unknown): void => {
    this.#giveUp();
    this.#owner.failed(failure, error);
  };

  async #holdAnew(): Promise<void> {
    try {
      await this.#context.backend.hold(this.#owner.subject.session, this.#testament());
    } catch {
      this.#isHeldOld = true;
    }
  }

  async #settle(end: End): Promise<void> {
    const { backend, counters, deadlines } = this.#context;
    const { subject } = this.#owner;
    this.#isOver = true;
    deadlines.cancel(this);
    // Where no worker has the session, one that reads the route's queue takes leave of it for the last that had it.
    const disconnect = disconnectEvent(subject, this.#standing(this.#flow.next), end, this.#formerQueue);
    try {
      if (await backend.settle(subject.session, disconnect, this.#ownQueue)) counters.disconnects += 1;
    } catch {
      // The layer settles it when the broker answers again.
      counters.disconnects += 1;
    }
    this.#owner.finished();
  }

  #standing(order: number): Standing {
    return { order, lease: this.#lease, state: this.#state };
  }

  /** What is said should this process die. */
  #testament(): Message {
    return disconnectEvent(this.#owner.subject, { order: null, lease: this.#lease, state: this.#state }, DIED, this.#ownQueue);
  }

  #watch(): void {
    const { deadlines, now } = this.#context;
    const { dueAt } = this.#flow;
    if (dueAt === Infinity) return;
    const tick = deadlines.now + deadlines.ticks(dueAt - now());
    if (this.dueTick === -1 || tick < this.dueTick) deadlines.set(this, tick);
  }
}
