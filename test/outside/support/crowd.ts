import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';

/** Clients come back after a moment of their own, so that not all knock at once. In milliseconds. */
const BACK_AFTER = 50;
const BACK_SPREAD = 200;
/** A join that was refused, since the layer is away just now, is asked for again after so long: fewer times a minute than a session may err. */
const ASK_AGAIN = 5000;
/** From a request to its answer, in milliseconds. */
const PATIENCE_MS = 30_000;

/** One end of a session. */
export interface Close {
  readonly code: number;
  readonly at: number;
}

/** A client that connects again whenever it is closed, as a page does. */
export class Regular {
  /** Payloads of the room's messages, over all its sessions. */
  readonly messages: string[] = [];
  readonly closes: Close[] = [];
  gaps = 0;
  /** Whether it is in the room now. */
  joined = false;
  readonly #url: string;
  readonly #room: string;
  readonly #multiplex: boolean;
  #socket: WebSocket | undefined;
  #left = false;

  constructor(origin: string, room: string, kind: 'raw' | 'multiplex') {
    this.#multiplex = kind === 'multiplex';
    this.#url = `ws://${origin}${this.#multiplex ? '/socket' : `/room/${room}`}`;
    this.#room = room;
    this.#connect();
  }

  /** Closes for good. */
  leave(): void {
    this.#left = true;
    this.#socket?.terminate();
  }

  /** Stays as long as it is let, and does not come back then. */
  leaveWhenClosed(): void {
    this.#left = true;
  }

  /** Reads nothing more, as a client that hangs. */
  pause(): void {
    this.#socket?.pause();
  }

  #connect(): void {
    const socket = new WebSocket(this.#url, { perMessageDeflate: false, handshakeTimeout: PATIENCE_MS });
    this.#socket = socket;
    socket.on('open', () => {
      if (this.#multiplex) this.#join(socket);
      else this.joined = true;
    });
    socket.on('message', (data: Buffer) => this.#take(socket, data.toString()));
    // A refused upgrade is an error without a session.
    socket.on('error', () => undefined);
    socket.on('close', (code: number) => void this.#comeBack(code));
  }

  #join(socket: WebSocket): void {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'join', room: this.#room, ref: 1 }));
  }

  #take(socket: WebSocket, text: string): void {
    if (!this.#multiplex) {
      this.messages.push(text);
      return;
    }
    const frame = JSON.parse(text) as { type: string; text?: string; data?: unknown };
    if (frame.type === 'joined') this.joined = true;
    else if (frame.type === 'error') setTimeout(() => this.#join(socket), ASK_AGAIN).unref();
    else if (frame.type === 'gap') this.gaps += 1;
    else if (frame.type === 'message') this.messages.push(frame.text ?? JSON.stringify(frame.data));
  }

  async #comeBack(code: number): Promise<void> {
    if (this.joined) this.closes.push({ code, at: performance.now() });
    this.joined = false;
    await delay(BACK_AFTER + Math.random() * BACK_SPREAD, undefined, { ref: false });
    if (!this.#left) this.#connect();
  }
}

/** Posts numbered messages to a room, one after another, until it is stopped. */
export class Publisher {
  /** Those answered with 202. */
  readonly accepted: string[] = [];
  /** Statuses of those that were not; 0 where no answer came. */
  readonly refused: number[] = [];
  readonly #url: string;
  readonly #name: string;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(origin: string, room: string, name: string, everyMs: number) {
    this.#url = `http://${origin}/room/${room}`;
    this.#name = name;
    this.#done = this.#run(everyMs);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(everyMs: number): Promise<void> {
    for (let number = 0; !this.#stop.signal.aborted; number += 1) {
      const message = `${this.#name}-${number}`;
      const status = await post(this.#url, message);
      if (status === 202) this.accepted.push(message);
      else this.refused.push(status);
      await delay(everyMs);
    }
  }
}

/** The status of a publish; 0 where no answer came within 30 s. */
export async function post(url: string, body: string): Promise<number> {
  try {
    const response = await fetch(url, { method: 'POST', body, signal: AbortSignal.timeout(PATIENCE_MS) });
    await response.body?.cancel();
    return response.status;
  } catch {
    return 0;
  }
}
