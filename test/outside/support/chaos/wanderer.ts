import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';

/** Says its next number so often, in milliseconds. */
const PACE_MS = 2000;
/** Leaves of its own after a time up to this, in milliseconds. */
const LONGEST_STAY_MS = 40_000;
/** Comes back after a time up to this, in milliseconds. */
const BACK_MS = 500;
/** As long as a busy machine may take for what comes in a moment else. */
const PATIENCE_MS = 120_000;

/** One socket of a client, by the name under which workers know it. */
export interface Visit {
  readonly name: string;
  /** Of the gateway. */
  readonly origin: string;
  /** Numbers that it said: 1 to this. */
  said: number;
  /** The highest number that came back. */
  heard: number;
  isOpen: boolean;
  /** What it was closed with, where it was ever open, and not by itself. */
  closedWith?: number;
  /** When the client was gone, or was refused: microseconds of the machine's monotonic clock. */
  endedAt: number;
}

/** A client that says numbers, leaves now and then, and comes back, each time as another one, whenever it is closed or refused. */
export class Wanderer implements Disposable {
  readonly visits: Visit[] = [];
  readonly #name: string;
  readonly #origin: () => string;
  readonly #stays = new AbortController();
  #socket: WebSocket | undefined;
  #hasLeft = false;
  /** Called with each visit that has heard something. */
  #onHeard: ((visit: Visit) => void) | undefined;

  /** `origin`: of the gateway that it asks next. */
  constructor(name: string, origin: () => string) {
    this.#name = name;
    this.#origin = origin;
    void this.#wander();
  }

  /** Whether a worker has answered it where it is. */
  get isAnswered(): boolean {
    return (this.visits.at(-1)?.heard ?? 0) > 0;
  }

  /** Stays where it is from now on, until it is answered there, and then leaves for good. */
  async settle(): Promise<void> {
    this.#stays.abort();
    const asked = new Map(this.visits.map((visit) => [visit, visit.said]));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#onHeard = (visit) => {
      if (visit.heard > (asked.get(visit) ?? 0)) resolve();
    };
    const patience = setTimeout(() => reject(new Error(`nobody answers any more: ${JSON.stringify(this.visits.at(-1))}`)), PATIENCE_MS);
    await promise.finally(() => clearTimeout(patience));
    this.#hasLeft = true;
    this.#socket?.close(1000);
  }

  [Symbol.dispose](): void {
    this.#hasLeft = true;
    this.#socket?.terminate();
  }

  async #wander(): Promise<void> {
    for (let visit = 0; !this.#hasLeft; visit += 1) {
      await this.#visit(`${this.#name}.${visit}`);
      await delay(Math.random() * BACK_MS);
    }
  }

  async #visit(name: string): Promise<void> {
    const origin = this.#origin();
    const visit: Visit = { name, origin, said: 0, heard: 0, isOpen: false, endedAt: Infinity };
    this.visits.push(visit);
    const socket = new WebSocket(`${origin}/app/${name}`, { perMessageDeflate: false, handshakeTimeout: PATIENCE_MS });
    this.#socket = socket;
    let isOurs = false;
    const leave = setTimeout(() => {
      if (this.#stays.signal.aborted) return;
      isOurs = true;
      socket.close(1000);
    }, Math.random() * LONGEST_STAY_MS);
    const says = setInterval(() => {
      if (!visit.isOpen || socket.readyState !== WebSocket.OPEN) return;
      visit.said += 1;
      socket.send(String(visit.said));
    }, PACE_MS);
    socket.on('open', () => (visit.isOpen = true));
    socket.on('message', (data: Buffer) => {
      visit.heard = Math.max(visit.heard, Number(data.toString()));
      this.#onHeard?.(visit);
    });
    // A refused upgrade is an error without a session.
    socket.on('error', () => undefined);
    await new Promise<void>((resolve) => {
      socket.on('close', (code: number) => {
        if (visit.isOpen && !isOurs && !this.#hasLeft) visit.closedWith = code;
        visit.endedAt = Number(process.hrtime.bigint() / 1000n);
        resolve();
      });
    });
    clearTimeout(leave);
    clearInterval(says);
  }
}
