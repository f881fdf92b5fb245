import { type LinkEnd, verdictOn } from '../core/policy.ts';
import type { ClientFrame, JoinFrame, MessageFrame, PublishFrame } from '../frames.ts';
import { ask } from './http.ts';
import { endOf, probe } from './probe.ts';
import type { Link, LinkEvents, Target } from './transport.ts';

/** The answer to a poll. */
interface Answer {
  readonly messages: readonly Omit<MessageFrame, 'type'>[];
  readonly cursor: string;
  readonly recovered?: boolean;
  readonly gap?: boolean;
  readonly more?: boolean;
}

/** After a gap all fetch again, but not at once: within so many milliseconds. */
const GAP_SPREAD_MS = 1000;

/** Requests alone. To whoever uses it, it speaks the frames of `/socket`; only rooms with history can be polled. */
class PollLink implements Link {
  readonly buffered = 0;
  readonly #target: Target;
  readonly #events: LinkEvents;
  readonly #closed = new AbortController();
  /** Ends the poll that waits, so that what has changed is asked for. */
  #waiting = new AbortController();
  readonly #rooms = new Set<string>();
  /** Where all of them stand. */
  #cursor: string | undefined;
  #joins: JoinFrame[] = [];
  /** Rooms that are about to be polled: until it is known where they stand, what is published there would not come back. */
  readonly #unplaced = new Set<string>();
  /** Publishes that wait for that: behind a join, as on the other wires. */
  #behind: PublishFrame[] = [];
  /** Publishes go one after the other, so that they keep their order. */
  #published: Promise<void> = Promise.resolve();
  #wakeUp: (() => void) | undefined;

  constructor(target: Target, events: LinkEvents) {
    this.#target = target;
    this.#events = events;
    void this.#run();
  }

  send(frames: readonly ClientFrame[]): void {
    for (const frame of frames) {
      if (frame.type === 'publish') this.#behind.push(frame);
      else if (frame.type === 'join') {
        this.#unplaced.add(frame.room);
        this.#joins.push(frame);
      } else if (frame.type === 'leave') {
        this.#rooms.delete(frame.room);
        this.#unplaced.delete(frame.room);
        this.#joins = this.#joins.filter(({ room }) => room !== frame.room);
      }
    }
    this.#goOn();
    if (frames[0]?.type === 'join' || frames[0]?.type === 'leave') this.#interrupt();
  }

  close(): void {
    this.#closed.abort();
    this.#interrupt();
  }

  /** Publishes what waits, once nothing that it waits for is left. */
  #goOn(): void {
    if (this.#unplaced.size > 0) return;
    for (const frame of this.#behind.splice(0)) this.#published = this.#published.then(() => this.#publish(frame));
  }

  #interrupt(): void {
    this.#waiting.abort();
    this.#waiting = new AbortController();
    this.#wakeUp?.();
  }

  async #run(): Promise<void> {
    // There may be no rooms yet; a gateway that lets us in says so.
    const found = await probe(this.#target, this.#closed.signal);
    if (!verdictOn(found).other) return this.#end(found);
    this.#events.frame({ type: 'welcome', session: '' });
    while (!this.#closed.signal.aborted) {
      const joins = this.#joins.splice(0);
      if (joins.length > 0) await this.#join(joins);
      else if (this.#rooms.size === 0) await new Promise<void>((resolve) => (this.#wakeUp = resolve));
      else this.#end(await this.#poll(this.#target.pollSeconds));
    }
  }

  /** Everything new in the rooms, at once or when it comes. One that waits may be broken off, and is asked again from where it began. */
  async #poll(poll: number): Promise<LinkEnd | undefined> {
    const { signal } = poll ? this.#waiting : this.#closed;
    const answer = await this.#ask<Answer>({ rooms: [...this.#rooms], since: this.#cursor, poll }, signal);
    if (signal.aborted) return undefined;
    if (!('cursor' in answer)) return answer;
    this.#cursor = answer.cursor;
    if (answer.gap) for (const room of this.#rooms) this.#gap(room);
    return this.#give(answer);
  }

  /** First the rooms are polled with the others, then it is read what they had before: nothing falls between, and what comes twice is known by its position. */
  async #join(joins: readonly JoinFrame[]): Promise<void> {
    for (const { room } of joins) this.#rooms.add(room);
    const end = await this.#poll(0);
    if (end) return this.#refused(joins, end);
    this.#placed(joins);
    for (const join of joins) await this.#begin(join);
  }

  /** Where one of several cannot be polled they are asked for one by one, but for those that were left meanwhile. */
  async #refused(joins: readonly JoinFrame[], end: LinkEnd): Promise<void> {
    for (const { room } of joins) this.#rooms.delete(room);
    if (end.code !== 400) return this.#end(end);
    const [join, ...others] = joins;
    if (join && others.length === 0) {
      this.#placed(joins);
      this.#events.frame({ type: 'error', code: end.error ?? 'bad_request', ref: join.ref });
    } else for (const each of joins) if (this.#unplaced.has(each.room)) await this.#join([each]);
  }

  #placed(joins: readonly JoinFrame[]): void {
    for (const { room } of joins) this.#unplaced.delete(room);
    this.#goOn();
  }

  /** Reads what came before. Where nothing is asked for, the newest message tells where the room stands. */
  async #begin({ room, ref, since, last = 0 }: JoinFrame): Promise<void> {
    const from = since ? { since: { [room]: since } } : { last: last || 1 };
    const answer = await this.#ask<Answer>({ rooms: [room], ...from, poll: 0 }, this.#closed.signal);
    if (!('cursor' in answer)) return this.#end(answer);
    const recovered = since ? !answer.gap && answer.recovered : undefined;
    this.#events.frame({ type: 'joined', room, ref, position: since ?? answer.messages.at(-1)?.position, recovered });
    if (recovered === false) this.#gap(room);
    if (since || last) await this.#giveAll(room, answer);
  }

  /** Gives an answer, and what did not fit into it. */
  async #giveAll(room: string, first: Answer): Promise<void> {
    for (let answer: Answer | LinkEnd = first; ;) {
      this.#give(answer);
      if (!answer.more) return;
      answer = await this.#ask<Answer>({ rooms: [room], since: answer.cursor, poll: 0 }, this.#closed.signal);
      if (!('cursor' in answer)) return this.#end(answer);
    }
  }

  #give({ messages }: Answer): undefined {
    this.#events.heard();
    for (const message of messages) this.#events.frame({ type: 'message', ...message });
  }

  #gap(room: string): void {
    this.#events.frame({ type: 'gap', room, after: Math.random() * GAP_SPREAD_MS });
  }

  #end(end: LinkEnd | undefined): void {
    if (!end || this.#closed.signal.aborted) return;
    this.close();
    this.#events.ended(end);
  }

  async #ask<Found>(body: unknown, signal: AbortSignal): Promise<Found | LinkEnd> {
    try {
      const response = await ask(this.#target, signal, JSON.stringify(body));
      return response.ok ? ((await response.json()) as Found) : await endOf(response);
    } catch {
      return {};
    }
  }

  /** A publish needs no session. */
  async #publish(frame: PublishFrame): Promise<void> {
    const { ref } = frame;
    const answer = await this.#ask<{ readonly room: string; readonly position?: string }>(frame, this.#closed.signal);
    this.#events.frame('room' in answer ? { ...answer, type: 'published', ref } : { type: 'error', ref, code: answer.error ?? 'unknown' });
  }
}

export function openPoll(target: Target, events: LinkEvents): Link {
  return new PollLink(target, events);
}
