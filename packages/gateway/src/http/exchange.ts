import { Buffer } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { Answer, StreamedAnswer, WaitingAnswer } from '../answer.ts';
import type { Counters } from '../counters.ts';
import type { Refused } from '../errors.ts';
import { refusal } from '../refusal.ts';
import type { Leave } from '../routes/route.ts';
import { answerSocket, endSocket } from './answer.ts';
import { type Body, hasBody } from './body.ts';
import type { Connection, Owed } from './connection.ts';
import { isHandedOn } from './handed-on.ts';
import type { Parking } from './parked.ts';
import { hasMoreRead, takeOver } from './take-over.ts';

type Headers = Readonly<Record<string, string>>;

export interface ExchangeSources {
  readonly counters: Counters;
  /** Whether this gateway is being stopped: a connection is not to be used again. */
  readonly isDraining: () => boolean;
  readonly parking: Parking;
}

/** A request, and its one answer. */
export class Exchange implements Owed {
  readonly request: IncomingMessage;
  /** What every answer to it carries. */
  headers: Headers = {};
  /** Where it has been begun to be read. */
  body: Body | undefined;
  readonly #response: ServerResponse;
  readonly #connection: Connection;
  readonly #sources: ExchangeSources;
  readonly #serve: (exchange: Exchange) => Promise<void>;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    connection: Connection,
    sources: ExchangeSources,
    serve: (exchange: Exchange) => Promise<void>,
  ) {
    this.request = request;
    this.#response = response;
    this.#connection = connection;
    this.#sources = sources;
    this.#serve = serve;
    response.once('close', () => connection.answered(this));
  }

  get isWhole(): boolean {
    return this.request.complete || !hasBody(this.request);
  }

  begin(): Promise<void> {
    return this.#serve(this);
  }

  drop(): void {
    this.body?.release();
  }

  /** The client may send the body that it has announced. */
  proceed(): void {
    this.#response.writeContinue();
  }

  refuse(refused: Refused, headers?: Headers): void {
    const answer = refusal(this.#sources.counters, refused, headers);
    const { Upgrade, ...others } = answer.headers;
    this.answer(Upgrade === undefined || !isHandedOn(this.request) ? answer : { ...answer, headers: others });
  }

  /**
   * An answer that ends its connection, where no other one has begun behind it, is the last that is written there, and what still comes is read and dropped.
   * Otherwise it leaves in its turn, and the connection ends behind those that have begun.
   */
  answer(answer: Answer): void {
    const { status, headers, body } = answer;
    const { Connection, ...rest } = { ...headers, ...this.headers };
    const { socket, method } = this.request;
    const sending = method === 'HEAD' ? undefined : answer.sending;
    this.drop();
    const ends = Connection === 'close' || !this.isWhole || this.#sources.isDraining() || this.#connection.isEnding;
    if (ends && this.#connection.isLast(this)) {
      this.request.resume();
      const last = { status, headers: rest, body: method === 'HEAD' ? Buffer.alloc(0) : body, ...(sending && { sending }) };
      this.#connection.endWith(this, () => answerSocket(socket, last));
      return;
    }
    if (ends) this.#connection.end();
    const response = this.#response;
    if (sending !== undefined) {
      response.once('close', () => sending.ended(response.writableFinished));
      sending.begun(() => socket.destroy());
    }
    response.writeHead(status, rest).end(body);
  }

  /** Resolves when its answer has left, or cannot any more. */
  get gone(): Promise<void> {
    const response = this.#response;
    return response.closed ? Promise.resolve() : new Promise((resolve) => void response.once('close', resolve));
  }

  /** Its answer comes later, on a connection of which nothing else is kept. Where others are owed an answer there too it is not waited for. */
  wait(waiting: WaitingAnswer): void {
    const { socket } = this.request;
    this.drop();
    if (!this.#connection.isOnly(this) || hasMoreRead(socket)) {
      waiting.begin(this);
      return waiting.hurry();
    }
    const isLast = !this.#response.shouldKeepAlive;
    this.#connection.handOver(this);
    const tcp = takeOver(this.#response);
    if (tcp === undefined) waiting.left();
    else this.#sources.parking.take(tcp, { headers: this.headers, isLast }, waiting);
  }

  /** Calls `left` as {@link Leaving} says. Who is owed others on its connection, before this one, waits for them. */
  watch(left: (how: Leave) => void): void {
    const { socket } = this.request;
    const response = this.#response;
    const ended = (): void => left('ended');
    if (socket.readableEnded) ended();
    else if (this.#connection.isAlone(this)) socket.once('end', ended);
    response.once('close', () => {
      socket.off('end', ended);
      if (!response.writableFinished) left('gone');
    });
  }

  /**
   * An answer whose length is not known before its end. It is written no faster than the client reads; where it cannot be finished the connection breaks. Who ends its
   * side before the answer has begun waits for it; who ends it in the middle has gone.
   */
  async stream({ status, headers, pieces }: StreamedAnswer): Promise<void> {
    const response = this.#response;
    this.drop();
    if (this.#sources.isDraining()) this.#connection.end();
    response.writeHead(status, { ...headers, ...this.headers });
    if (this.request.method === 'HEAD') return void response.end();
    const { socket } = this.request;
    socket.once('end', destroy);
    try {
      await pipeline(pieces, response);
    } catch {
      socket.destroy();
    } finally {
      socket.off('end', destroy);
    }
  }

  /**
   * Its answer does not end before its connection does, and `take` writes it: nothing more is read as HTTP. False where that cannot be: the client has gone, or others are owed
   * an answer before; then the connection ends behind them, and the client comes back.
   */
  become(take: (request: IncomingMessage) => void): boolean {
    const { socket } = this.request;
    this.drop();
    if (!this.#connection.isAlone(this)) {
      this.#connection.endWith(this, () => endSocket(socket));
      return false;
    }
    this.#connection.handOver(this);
    if (takeOver(this.#response) === undefined) return false;
    take(this.request);
    return true;
  }

  /** It could not be served: 500, or the end where its answer had begun. */
  fail(): void {
    if (this.#response.headersSent) this.request.socket.destroy();
    else this.refuse('internal');
  }
}

function destroy(this: Socket): void {
  this.destroy();
}
