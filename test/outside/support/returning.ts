import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Close } from './crowd.ts';

/** A client comes back after a moment of its own, in milliseconds. */
const BACK_AFTER = 50;
const BACK_SPREAD = 450;
const PATIENCE_MS = 60_000;

/** What one message of its room holds. */
interface Numbered {
  /** Of the room's messages, from 1. */
  readonly n: number;
}

/** A client of one room with history that comes back whenever it is closed, with the position that it has, and counts what it hears. */
export class Returning {
  readonly closes: Close[] = [];
  /** What it was told otherwise than a client must be: a message missed or doubled, a gap, an error. */
  readonly faults: string[] = [];
  /** The number of the last message. */
  last = 0;
  joined = false;
  readonly room: string;
  readonly #url: string;
  readonly #heard: (data: Numbered) => void;
  #since: string | undefined;
  #socket: WebSocket | undefined;
  #hasLeft = false;

  /** `heard` is called with what each message holds. */
  constructor(origin: string, room: string, heard: (data: Numbered) => void = () => undefined) {
    this.room = room;
    this.#heard = heard;
    this.#url = `ws://${origin}/socket`;
    this.#connect();
  }

  leave(): void {
    this.#hasLeft = true;
    this.#socket?.terminate();
  }

  #connect(): void {
    const socket = new WebSocket(this.#url, 'busgate.v1', { perMessageDeflate: false, handshakeTimeout: PATIENCE_MS });
    this.#socket = socket;
    socket.on('open', () => socket.send(JSON.stringify({ type: 'join', room: this.room, since: this.#since })));
    socket.on('message', (data: Buffer) => this.#take(JSON.parse(data.toString()) as Frame));
    // A refused upgrade is an error without a session.
    socket.on('error', () => undefined);
    socket.on('close', (code: number) => void this.#comeBack(code));
  }

  #take(frame: Frame): void {
    if (frame.type === 'joined') {
      this.joined = true;
      if (this.#since !== undefined && frame.recovered !== true) this.faults.push(`not recovered: ${JSON.stringify(frame)}`);
      this.#since ??= frame.position;
    } else if (frame.type === 'message') {
      const { n } = frame.data;
      if (n !== this.last + 1) this.faults.push(`${n} after ${this.last}`);
      this.last = n;
      this.#since = frame.position;
      this.#heard(frame.data);
    } else if (frame.type !== 'welcome' && frame.type !== 'reconnect') {
      this.faults.push(JSON.stringify(frame));
    }
  }

  async #comeBack(code: number): Promise<void> {
    if (this.joined) this.closes.push({ code, at: performance.now() });
    this.joined = false;
    await delay(BACK_AFTER + Math.random() * BACK_SPREAD, undefined, { ref: false });
    if (!this.#hasLeft) this.#connect();
  }
}

type Frame =
  | { readonly type: 'message'; readonly data: Numbered; readonly position: string }
  | { readonly type: 'joined'; readonly position: string; readonly recovered?: boolean }
  | { readonly type: 'welcome' | 'reconnect' | 'gap' | 'error' };

/** Publishes numbered messages to rooms in turn, each until it was taken: under one key, so that it is once there whatever was answered. */
export class NumberedPublisher {
  /** The last number of each room. */
  readonly last = new Map<string, number>();
  readonly #origin: string;
  readonly #bodyOf: (n: number) => string;
  readonly #stop = new AbortController();
  readonly #done: Promise<unknown>;

  /** Each room has one message `everyMs`. */
  constructor(origin: string, rooms: readonly string[], everyMs: number, bodyOf = (n: number): string => JSON.stringify({ n } satisfies Numbered)) {
    this.#origin = origin;
    this.#bodyOf = bodyOf;
    this.#done = Promise.all(rooms.map((room, index) => this.#run(room, everyMs, (index * everyMs) / rooms.length)));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(room: string, everyMs: number, afterMs: number): Promise<void> {
    await delay(afterMs);
    for (let n = 1; !this.#stop.signal.aborted; n += 1) {
      while (!(await this.#post(room, n))) await delay(everyMs);
      this.last.set(room, n);
      await delay(everyMs);
    }
  }

  async #post(room: string, n: number): Promise<boolean> {
    try {
      const headers = { 'Idempotency-Key': `${room}-${n}` };
      const response = await fetch(`http://${this.#origin}/room/${room}`, {
        method: 'POST',
        headers,
        body: this.#bodyOf(n),
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      await response.body?.cancel();
      return response.status === 202;
    } catch {
      return false;
    }
  }
}
