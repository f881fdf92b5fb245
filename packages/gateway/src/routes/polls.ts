import { isLayerError } from '@busgate/layer';
import { type Answer, jsonTextAnswer, type WaitingAnswer } from '../answer.ts';
import { type Counters, countClose } from '../counters.ts';
import type { HttpErrorKey } from '../errors.ts';
import { formatCursor } from '../hub/cursor.ts';
import type { Identity } from '../identity.ts';
import type { Hub } from '../hub.ts';
import type { Replayed } from '../limits/replays.ts';
import { joinFailure } from '../layer-errors.ts';
import type { Seat, Seats } from '../limits/seats.ts';
import type { Log } from '../log.ts';
import { refusal } from '../refusal.ts';
import { AnswerOutbox } from '../session/answer-outbox.ts';
import type { Deadlines } from '../session/deadlines.ts';
import type { Outboxes } from '../session/outbox.ts';
import type { HistoryQuestion } from './polls/question.ts';
import { Reading, type Wanted } from './polls/reading.ts';
import { type PollHost, WaitingPoll } from './polls/waiting-poll.ts';
import type { RouteRequest } from './request.ts';

/** The longest that an answer may wait, in milliseconds. */
const MAX_WAIT_MS = 60_000;
/** An answer whose turn to read a history has not come after so long is refused, in milliseconds. */
const PATIENCE_MS = 5000;

type NoSeat = Extract<HttpErrorKey, 'full' | 'rate' | 'bad_token'>;

export interface PollsContext {
  readonly hub: Hub;
  readonly counters: Counters;
  readonly deadlines: Deadlines;
  readonly outboxes: Outboxes;
  readonly log: Log;
  /** The clock of the rights' ends, in milliseconds. */
  readonly now: () => number;
  /** Whether one client more may stay here. */
  readonly hasPlace: () => boolean;
  readonly seats: Seats;
  /** Whether a client was revoked. */
  readonly isBanned: (identity: Identity) => boolean;
}

/** Answers what is asked of histories: at once, or with the first message that comes. */
export class Polls implements PollHost {
  readonly #context: PollsContext;
  readonly #waiting = new Set<WaitingPoll>();
  /** Connections that were given something of a history. */
  readonly #connections = new WeakMap<object, Replayed>();

  constructor(context: PollsContext) {
    this.#context = context;
  }

  /** Those that wait. */
  all(): readonly WaitingPoll[] {
    return [...this.#waiting];
  }

  get size(): number {
    return this.#waiting.size;
  }

  /**
   * What the rooms hold. Where that is nothing, and the client has a place in each of them, it may wait.
   * `rate` where too much is read just now.
   * @throws LayerError as a history and a subscription do
   */
  async ask(question: HistoryQuestion, request: RouteRequest): Promise<Answer | WaitingAnswer | HttpErrorKey> {
    try {
      if (question.poll > 0 && question.rooms.every((room) => question.sinceOf(room) !== undefined)) return await this.#wait(question, request);
      const reading = await this.#readInTurn(question, request);
      return reading === undefined ? 'rate' : this.answer(reading.positions, question.isOfMany, reading);
    } catch (error) {
      if (isLayerError(error, 'UNSUPPORTED')) return 'no_history';
      throw error;
    }
  }

  /** Why this client may not stay, which a session would be told too; undefined where it may. */
  denial(request: RouteRequest): NoSeat | undefined {
    const seat = this.#seatFor(request);
    if (typeof seat === 'string') return seat;
    seat.release();
    return undefined;
  }

  turn(): Promise<void> {
    return this.#context.hub.turn();
  }

  read(wanted: Wanted): Promise<Reading> {
    return Reading.of(this.#context.hub, wanted);
  }

  answer(places: ReadonlyMap<string, string>, isOfMany: boolean, reading?: Reading): Answer {
    const items = reading?.items ?? [];
    const cursor = isOfMany ? formatCursor(places) : [...places.values()][0];
    const gap = reading?.hasGap === true ? ',"recovered":false,"gap":true' : ',"recovered":true';
    const more = reading?.hasMore === true ? ',"more":true' : '';
    const answer = jsonTextAnswer(200, `{"messages":[${items.join()}],"cursor":${JSON.stringify(cursor)}${gap}${more}}`);
    const unkept = { ...answer, headers: { ...answer.headers, 'Cache-Control': 'no-store' } };
    if (items.length === 0) return unkept;
    return { ...unkept, sending: new AnswerOutbox(this.#context.outboxes, answer.body, items.length) };
  }

  failure(error: unknown): Answer {
    const key = joinFailure(error);
    if (key === 'internal') this.#context.log.error('a poll could not be answered', { error: String(error) });
    return this.refusal(key === 'too_large' ? 'internal' : key);
  }

  refusal(key: HttpErrorKey): Answer {
    return refusal(this.#context.counters, key);
  }

  remove(poll: WaitingPoll, code: number): void {
    if (!this.#waiting.delete(poll)) return;
    this.#context.deadlines.cancel(poll);
    countClose(this.#context.counters, code);
  }

  /** The rooms are held before they are read, so that nothing can come between, and what is recent is answered without asking the broker. */
  async #wait(question: HistoryQuestion, request: RouteRequest): Promise<WaitingAnswer | Answer | HttpErrorKey> {
    const { hub } = this.#context;
    const poll = new WaitingPoll(this, await hub.holdAll(question.rooms), question);
    try {
      const reading = await this.#readInTurn(question, request);
      const answer = reading === undefined ? 'rate' : this.#answerOrStay(poll, question, reading, request);
      if (answer !== poll) poll.cancel();
      return answer;
    } catch (error) {
      poll.cancel();
      throw error;
    }
  }

  #answerOrStay(poll: WaitingPoll, question: HistoryQuestion, reading: Reading, request: RouteRequest): WaitingPoll | Answer | HttpErrorKey {
    if (reading.isNews) return this.answer(reading.positions, question.isOfMany, reading);
    return this.#seat(poll, request) ?? this.#add(poll, reading, question, request);
  }

  /** What is read for a poll that has waited is what has come meanwhile: only what is read at once may be read again and again. */
  async #readInTurn(question: HistoryQuestion, { connection }: RouteRequest): Promise<Reading | undefined> {
    const { hub } = this.#context;
    const asksForNone = (question.last ?? 0) === 0 && question.rooms.every((room) => question.sinceOf(room) === undefined);
    if (asksForNone) return await this.read(question);
    const reader = this.#connections.get(connection) ?? { isOpen: true, replayed: undefined };
    const share = await hub.replays.share(reader, PATIENCE_MS);
    if (share === undefined) return undefined;
    let reading: Reading | undefined;
    try {
      reading = await this.read(question);
      if (reading.bytes > 0) this.#connections.set(connection, reader);
      return reading;
    } finally {
      share.settle(reading?.bytes ?? 0);
    }
  }

  /** As long as it waits it is one of the sessions of its address and its user. */
  #seat(poll: WaitingPoll, request: RouteRequest): NoSeat | undefined {
    const seat = this.#seatFor(request);
    if (typeof seat === 'string') return seat;
    poll.sit(seat, request.identity);
    return undefined;
  }

  #seatFor({ remote, identity }: RouteRequest): Seat | NoSeat {
    if (this.#context.isBanned(identity)) return 'bad_token';
    if (!this.#context.hasPlace()) return 'full';
    return this.#context.seats.take(() => remote.address, identity.user) ?? 'rate';
  }

  /** Never for longer than its client has rights, nor than anybody may; else not for less than it asks for. */
  #add(poll: WaitingPoll, reading: Reading, { poll: seconds, isOfMany }: HistoryQuestion, { identity: { until } }: RouteRequest): WaitingPoll {
    const { counters, deadlines, now } = this.#context;
    const rights = until === undefined ? Infinity : until - now();
    const ticks = Math.min(deadlines.ticks(seconds * 1000) + 1, deadlines.ticks(Math.min(MAX_WAIT_MS, rights)));
    poll.place(reading);
    this.#waiting.add(poll);
    deadlines.set(poll, deadlines.now + ticks);
    counters.opened.poll += 1;
    counters.openedOn[isOfMany ? 'multiplex' : 'room'] += 1;
    return poll;
  }
}
