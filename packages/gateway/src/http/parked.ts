import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Answer, WaitingAnswer } from '../answer.ts';
import { answerSocket } from './answer.ts';
import { undoDestroyOnError } from './linger.ts';

const PARKED = Symbol('parked');

/** A connection's TCP socket, and the way back from its events. */
interface ParkedTcp extends Socket {
  [PARKED]?: Parked;
}

export interface ParkingOptions {
  /** Milliseconds that a connection stays without a request. */
  readonly keepAlive: number;
  /** Whether a connection is not to be used again. */
  readonly isDraining: () => boolean;
  /** Serves the next request of a connection. */
  readonly serve: (socket: Socket) => void;
  /** So many more answers are owed. */
  readonly owe: (change: number) => void;
}

/** What is known of the request, once nothing is left of it. */
interface ParkedRequest {
  /** What the answer carries besides its own headers. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether its client wants the connection ended. */
  readonly isLast: boolean;
}

/** Connections on which nothing is under way but an answer that waits. */
export class Parking {
  readonly options: ParkingOptions;
  readonly #all = new Set<Parked>();

  constructor(options: ParkingOptions) {
    this.options = options;
  }

  /** The connection is nobody else's. */
  take(tcp: Socket, request: ParkedRequest, waiting: WaitingAnswer): void {
    const parked = new Parked(tcp, request, waiting, this);
    this.#all.add(parked);
    this.options.owe(1);
    waiting.begin(parked);
    // Its client said while the answer was being looked for that it says no more: no event tells it again.
    if (tcp.readableEnded) parked.ended();
  }

  /** For {@link Parked} alone. */
  remove(parked: Parked): void {
    this.#all.delete(parked);
  }

  /** Ends those that wait for their next request. */
  closeIdle(): void {
    for (const parked of this.#all) if (parked.isIdle) parked.destroy();
  }

  close(): void {
    for (const parked of this.#all) parked.destroy();
  }
}

/**
 * A connection whose request waits for its answer, and then one that waits for its next request: it costs what an idle socket costs, without a parser, a stream, a buffer or a closure
 * of its own. With the next request it is an ordinary one again.
 */
class Parked {
  readonly #tcp: ParkedTcp;
  readonly #all: Parking;
  readonly #headers: ParkedRequest['headers'];
  readonly #isLast: boolean;
  #waiting: WaitingAnswer | undefined;
  #isSent = false;
  /** The next request has begun to come, and was put back to be read. */
  #hasMore = false;
  #hasEnded = false;

  constructor(tcp: Socket, { headers, isLast }: ParkedRequest, waiting: WaitingAnswer, all: Parking) {
    this.#tcp = tcp;
    this.#headers = headers;
    this.#isLast = isLast;
    this.#waiting = waiting;
    this.#all = all;
    this.#tcp[PARKED] = this;
    tcp.on('close', onClose);
    tcp.on('end', onEnd);
    tcp.on('data', onData);
    tcp.resume();
  }

  get isIdle(): boolean {
    return this.#isSent;
  }

  answer(answer: Answer): void {
    if (this.#waiting === undefined) return;
    this.#settle();
    const { status, headers, body, sending } = answer;
    const tcp = this.#tcp;
    const { keepAlive, isDraining } = this.#all.options;
    const all = { ...headers, Date: new Date().toUTCString(), ...this.#headers };
    if (this.#isLast || this.#hasEnded || isDraining() || headers['Connection'] === 'close') {
      this.#leave();
      return answerSocket(tcp, { ...answer, headers: all });
    }
    const lines = Object.entries({ ...all, Connection: 'keep-alive', 'Keep-Alive': `timeout=${Math.floor(keepAlive / 1000)}` });
    tcp.cork();
    tcp.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.map(([name, value]) => `${name}: ${String(value)}\r\n`).join('')}\r\n`, 'latin1');
    sending?.begun(() => tcp.destroy());
    tcp.write(body, (error) => {
      sending?.ended(error === null || error === undefined);
      if (!tcp.destroyed) this.#sent();
    });
    tcp.uncork();
  }

  destroy(): void {
    this.#tcp.destroy();
  }

  /** Bytes of the next request: it begins when this one's answer has left, which waits no longer, since nobody counts what is held here. */
  more(chunk: Buffer): void {
    this.#tcp.pause();
    this.#tcp.unshift(chunk);
    this.#hasMore = true;
    if (this.#isSent) this.#giveBack();
    else this.#waiting?.hurry();
  }

  /** Its client says no more, and may have gone. */
  ended(): void {
    this.#hasEnded = true;
    if (this.#waiting === undefined) this.#tcp.end();
    else this.#waiting.hurry();
  }

  gone(): void {
    this.#all.remove(this);
    this.#waiting?.left();
    this.#settle();
  }

  #settle(): void {
    if (this.#waiting !== undefined) this.#all.options.owe(-1);
    this.#waiting = undefined;
  }

  #sent(): void {
    this.#isSent = true;
    if (this.#hasMore) return this.#giveBack();
    this.#tcp.setTimeout(this.#all.options.keepAlive);
    this.#tcp.once('timeout', onTimeout);
  }

  #giveBack(): void {
    const tcp = this.#leave();
    undoDestroyOnError(tcp);
    this.#all.options.serve(tcp);
  }

  #leave(): Socket {
    const tcp = this.#tcp;
    this.#all.remove(this);
    delete tcp[PARKED];
    tcp.setTimeout(0);
    tcp.off('close', onClose);
    tcp.off('end', onEnd);
    tcp.off('data', onData);
    tcp.off('timeout', onTimeout);
    return tcp;
  }
}

// Listeners that all of them share, so that none has closures of its own.

function onClose(this: ParkedTcp): void {
  this[PARKED]?.gone();
}

function onEnd(this: ParkedTcp): void {
  this[PARKED]?.ended();
}

function onData(this: ParkedTcp, chunk: Buffer): void {
  this[PARKED]?.more(chunk);
}

function onTimeout(this: ParkedTcp): void {
  this.destroy();
}
