import { setTimeout as delay } from 'node:timers/promises';
import { ask, type Heard, openSocket, openStream, type Request, type Wire, type WireEvents } from '../../support/cursors/wires.ts';

export const WAYS = ['socket', 'sse', 'lines', 'poll'] as const;
type Way = (typeof WAYS)[number];

/** Messages that it stays for at most. */
const MOST = 8;
/** Who was cut off, or refused, comes back after so long, and up to as long again, in milliseconds. */
const BACK_AFTER = 50;
const BACK_SPREAD = 200;
/** It is away for longer this often, and for so many milliseconds at most: so it misses more than a few. */
const LONG_SHARE = 0.1;
const LONG_MS = 2000;
const POLL_S = 20;

interface Answer {
  readonly messages: readonly { readonly text: string; readonly position: string }[];
  readonly cursor: string;
  readonly recovered: boolean;
}

/** A client of one room with history that goes on by another wire, at whatever gateway, again and again, and counts what it hears: `m1`, `m2` and so on. */
export class Wanderer {
  /** What it was told otherwise than a client must be: a message missed or doubled, a gap, an error. */
  readonly faults: string[] = [];
  /** Visits that heard something, by the way. */
  readonly visits: Record<Way, number> = { socket: 0, sse: 0, lines: 0, poll: 0 };
  /** The number of the last message. */
  last = 0;
  readonly room: string;
  readonly #origin: string;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #position: string | undefined;

  /** `origin`: host and port of whatever stands before the gateways. */
  constructor(origin: string, room: string, random: () => number) {
    this.room = room;
    this.#origin = origin;
    this.#random = random;
    this.#done = this.#run();
  }

  /** Whether it has a place in its room, so that it misses nothing from now on. */
  get isThere(): boolean {
    return this.#position !== undefined;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const way = WAYS[Math.floor(this.#random() * WAYS.length)] as Way;
      const from = this.last;
      const isDone = await this.#visit(way, this.#random() < 0.5, 1 + Math.floor(this.#random() * MOST)).catch(() => false);
      if (this.last > from) this.visits[way] += 1;
      const away = isDone ? 0 : BACK_AFTER + this.#random() * BACK_SPREAD;
      const long = this.#random() < LONG_SHARE ? this.#random() * LONG_MS : 0;
      await delay(away + long, undefined, { signal }).catch(() => undefined);
    }
  }

  /** `many`: by `/socket`. True where it went by itself, after so many messages. */
  async #visit(way: Way, many: boolean, messages: number): Promise<boolean> {
    if (way === 'poll') return await this.#poll(many);
    const until = this.last + messages;
    const visit = Promise.withResolvers<boolean>();
    let wire: Wire | undefined;
    const events: WireEvents = {
      opened: (opened) => {
        wire = opened;
        opened.send?.({ type: 'join', room: this.room, since: this.#position });
      },
      hear: (heard) => {
        this.#hear(heard, many || way === 'socket');
        if (this.last >= until) visit.resolve(true);
      },
      ended: () => visit.resolve(false),
    };
    const leave = (): void => visit.resolve(true);
    this.#stop.signal.addEventListener('abort', leave);
    try {
      await (way === 'socket' ? openSocket(this.#origin, events) : openStream(this.#origin, way, this.#request(many), events));
      return await visit.promise;
    } finally {
      this.#stop.signal.removeEventListener('abort', leave);
      wire?.cut();
    }
  }

  async #poll(many: boolean): Promise<boolean> {
    const answer = (await (await ask(this.#origin, this.#request(many, POLL_S), this.#stop.signal)).json()) as Answer;
    if (!answer.recovered) this.faults.push(`a poll is not recovered at ${this.#position}`);
    for (const { text, position } of answer.messages) this.#message(text, position);
    if (!many) this.#position = answer.cursor;
    return true;
  }

  #request(many: boolean, poll?: number): Request {
    const since = this.#position;
    if (many) return { path: '/socket', body: { rooms: [this.room], poll, since: since === undefined ? undefined : { [this.room]: since } } };
    const query = new URLSearchParams({ ...(since !== undefined && { since }), ...(poll !== undefined && { poll: String(poll) }) });
    return { path: `/room/${this.room}?${query.toString()}` };
  }

  #hear(heard: Heard, many: boolean): void {
    if (heard.type === 'message') this.#message(String(heard.text), String(heard.position));
    else if (heard.type === 'joined') {
      if (this.#position !== undefined && heard.recovered !== true) this.faults.push(`not recovered: ${JSON.stringify(heard)}`);
      this.#position ??= heard.position;
    } else if (heard.type === 'cursor') this.#position = many ? this.#position : heard.cursor;
    else if (heard.type !== 'ping' && heard.type !== 'welcome') this.faults.push(JSON.stringify(heard));
  }

  #message(text: string, position: string): void {
    const n = Number(text.slice(1));
    if (n !== this.last + 1) this.faults.push(`${text} after ${this.last}`);
    this.last = n;
    this.#position = position;
  }
}
