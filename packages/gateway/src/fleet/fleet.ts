import type { ChannelLayer, RoomEvent, Subscription } from '@busgate/layer';
import type { Log } from '../log.ts';
import type { Answering, FleetCall, FleetCalls } from './calls.ts';
import { ALL, type Note, readNote, roomOf } from './notes.ts';
import { Roster } from './roster.ts';

/** Others have so long to answer, in milliseconds. */
const ANSWER_MS = 1000;

export interface FleetOptions {
  readonly layer: Pick<ChannelLayer, 'process' | 'publish' | 'subscribe' | 'hears' | 'status'>;
  /** Answers for this gateway. */
  readonly answer: Answering;
  readonly log: Log;
  /** Milliseconds, never going back. */
  readonly now: () => number;
}

/** What was answered, by gateway, and who did not. */
export interface FleetAnswers<C extends FleetCall> {
  readonly answers: ReadonlyMap<string, FleetCalls[C]['answer']>;
  readonly missing: readonly string[];
}

interface OpenFleetCall {
  /** Those that have not answered yet. */
  readonly open: Set<string>;
  readonly answers: Map<string, unknown>;
  readonly done: () => void;
}

/** The gateways of one layer as they see each other: each can ask the others, and knows who has not answered. They meet in two rooms of their own each. */
export class Fleet {
  readonly #layer: FleetOptions['layer'];
  readonly #answer: Answering;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #roster: Roster;
  readonly #waiting = new Map<number, OpenFleetCall>();
  #asked = 0;
  #joining: Promise<void> | undefined;
  #subscriptions: readonly Subscription[] = [];
  #isClosed = false;

  constructor({ layer, answer, log, now }: FleetOptions) {
    this.#layer = layer;
    this.#answer = answer;
    this.#log = log;
    this.#now = now;
    this.#roster = new Roster((gateway) => layer.hears(gateway));
  }

  /** To be called often: joins the fleet once the layer is there. */
  look(): void {
    if (this.#joining !== undefined || this.#isClosed || this.#layer.status.state !== 'connected') return;
    this.#joining = this.#join().catch(() => {
      this.#joining = undefined;
    });
  }

  /** This gateway and those that it knows of, by name. */
  get gateways(): readonly string[] {
    return [this.#layer.process, ...this.#roster.all(this.#now())].toSorted();
  }

  /** Asks every gateway, this one too. */
  async askAll<C extends FleetCall>(call: C, asked: FleetCalls[C]['asked']): Promise<FleetAnswers<C>> {
    return await this.#ask(call, new Map(this.gateways.map((gateway) => [gateway, asked])), asked);
  }

  /** Asks some, each something of its own. One that is not known is missing. */
  async ask<C extends FleetCall>(call: C, asked: ReadonlyMap<string, FleetCalls[C]['asked']>): Promise<FleetAnswers<C>> {
    return await this.#ask(call, asked);
  }

  /** Says goodbye. What others still ask is not answered. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#joining;
    if (this.#subscriptions.length > 0 && this.#layer.status.state === 'connected') await this.#say(ALL, { type: 'bye', from: this.#layer.process });
    await Promise.allSettled(this.#subscriptions.map((subscription) => subscription.close()));
  }

  async #join(): Promise<void> {
    const { process } = this.#layer;
    const listeners = new Map([
      [roomOf(process), (event: RoomEvent): void => this.#hear(event)],
      [ALL, (event: RoomEvent): void => this.#hearAll(event)],
    ]);
    const subscribed = await Promise.allSettled([...listeners].map(([room, listener]) => this.#layer.subscribe(room, listener)));
    const held = subscribed.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = subscribed.find((one) => one.status === 'rejected');
    if (failed !== undefined) {
      await Promise.allSettled(held.map((subscription) => subscription.close()));
      throw failed.reason;
    }
    this.#subscriptions = held;
    await this.#hello();
  }

  async #hello(): Promise<void> {
    await this.#say(ALL, { type: 'hello', from: this.#layer.process, answer: true });
  }

  /** `same`: what all of them are asked, in one message. */
  async #ask<C extends FleetCall>(call: C, asked: ReadonlyMap<string, FleetCalls[C]['asked']>, same?: FleetCalls[C]['asked']): Promise<FleetAnswers<C>> {
    const { process } = this.#layer;
    const known = new Set(this.#roster.all(this.#now()));
    const others = [...asked.keys()].filter((gateway) => known.has(gateway));
    const own = asked.get(process);
    const mine = own === undefined ? undefined : this.#answer(call, own);
    const heard = await this.#hearFrom(others, (id) => {
      const note = (to: object): Note => ({ type: 'ask', from: process, id, call, asked: to });
      return same === undefined ? others.map((gateway) => this.#say(roomOf(gateway), note(asked.get(gateway) ?? {}))) : [this.#say(ALL, note(same))];
    });
    if (mine !== undefined) heard.set(process, await mine);
    const answers = new Map([...asked.keys()].flatMap((gateway) => (heard.has(gateway) ? [[gateway, heard.get(gateway) as FleetCalls[C]['answer']]] : [])));
    return { answers, missing: [...asked.keys()].filter((gateway) => !heard.has(gateway)) };
  }

  /** Resolves when all of these have answered, or their time is over; at once where they cannot be asked. */
  #hearFrom(gateways: readonly string[], ask: (id: number) => readonly Promise<boolean>[]): Promise<Map<string, unknown>> {
    const answers = new Map<string, unknown>();
    if (gateways.length === 0) return Promise.resolve(answers);
    const id = (this.#asked += 1);
    const { promise, resolve } = Promise.withResolvers<Map<string, unknown>>();
    const done = (): void => {
      clearTimeout(timer);
      this.#waiting.delete(id);
      resolve(answers);
    };
    const timer = setTimeout(done, ANSWER_MS).unref();
    this.#waiting.set(id, { open: new Set(gateways), answers, done });
    void this.#endWhereUnasked(ask(id), done);
    return promise;
  }

  async #endWhereUnasked(asked: readonly Promise<boolean>[], done: () => void): Promise<void> {
    const sent = await Promise.all(asked);
    if (!sent.includes(true)) done();
  }

  /** False where the layer did not take it. */
  async #say(room: string, note: Note): Promise<boolean> {
    try {
      await this.#layer.publish(room, JSON.stringify(note));
      return true;
    } catch (error) {
      this.#log.debug('other gateways could not be told', { type: note.type, error: String(error) });
      return false;
    }
  }

  /** After a gap, such as when the broker was away, who is there says so. */
  #hearAll(event: RoomEvent): void {
    if (event.gap === true && !this.#isClosed) void this.#hello();
    else this.#hear(event);
  }

  #hear(event: RoomEvent): void {
    const note = event.gap === true || this.#isClosed ? undefined : readNote(event.payload);
    if (note === undefined || note.from === this.#layer.process) return;
    if (note.type === 'bye') return this.#left(note.from);
    this.#roster.heard(note.from, this.#now());
    if (note.type === 'ask') void this.#reply(note);
    else if (note.type === 'answer') this.#take(note);
    else if (note.answer === true) void this.#say(roomOf(note.from), { type: 'hello', from: this.#layer.process });
  }

  #left(gateway: string): void {
    this.#roster.left(gateway);
    for (const waiting of this.#waiting.values()) if (waiting.open.delete(gateway) && waiting.open.size === 0) waiting.done();
  }

  #take({ id, from, answer }: Extract<Note, { type: 'answer' }>): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined || !waiting.open.delete(from)) return;
    if (answer !== undefined) waiting.answers.set(from, answer);
    if (waiting.open.size === 0) waiting.done();
  }

  async #reply({ from, id, call, asked }: Extract<Note, { type: 'ask' }>): Promise<void> {
    const { process } = this.#layer;
    const nothing: Note = { type: 'answer', from: process, id };
    try {
      const answer = await this.#answer(call as FleetCall, asked as never);
      if (await this.#say(roomOf(from), { ...nothing, answer })) return;
    } catch (error) {
      this.#log.warn('what another gateway asked could not be answered', { call, error: String(error) });
    }
    await this.#say(roomOf(from), nothing);
  }
}
