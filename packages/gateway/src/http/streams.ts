import { Buffer } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Admission, Guest } from '../admission.ts';
import type { Answer } from '../answer.ts';
import type { Counters } from '../counters.ts';
import { type HttpErrorKey, isRefused } from '../errors.ts';
import { joinFailure } from '../layer-errors.ts';
import type { Log } from '../log.ts';
import { refusal } from '../refusal.ts';
import type { Opening, Route } from '../routes/route.ts';
import type { Transport } from '../transports/transport.ts';
import { answerSocket } from './answer.ts';
import type { Exchange } from './exchange.ts';
import { failureKey } from './failure.ts';
import type { HttpRouteRequest } from './route-request.ts';
import type { Upgrade } from './upgrades.ts';

export interface StreamSources {
  readonly admission: Admission;
  readonly counters: Counters;
  readonly log: Log;
  /** Answers the request by `transport`, and begins the session that its route has made ready. */
  readonly begin: (transport: Transport, upgrade: Upgrade, opening: Opening, guest: Guest) => HttpErrorKey | undefined;
}

export interface AskedStream {
  readonly request: HttpRouteRequest;
  readonly route: Route;
  readonly transport: Transport;
}

/** Answers that do not end: each is a session, or is refused before. */
export class Streams {
  readonly #sources: StreamSources;

  constructor(sources: StreamSources) {
    this.#sources = sources;
  }

  /** Resolves when it has begun, or will not. HEAD opens nothing. */
  async open(exchange: Exchange, asked: AskedStream): Promise<void> {
    const { admission } = this.#sources;
    const { request, route, transport } = asked;
    const fault = route.fault(request.params) ?? transport.fault(exchange.request);
    const seat = fault ?? (await admission.admitSession(request, () => route.denial(request)));
    if (isRefused(seat)) return exchange.refuse(seat);
    try {
      if (request.method === 'HEAD') this.#answerHead(exchange, transport, route.askedFault?.(request));
      else this.#answer(exchange, transport, await this.#ready(exchange, asked), { identity: request.identity, seat });
    } finally {
      admission.settle(seat);
    }
  }

  #answerHead(exchange: Exchange, { headers }: Transport, fault: HttpErrorKey | undefined): void {
    if (fault === undefined) exchange.answer({ status: 200, headers, body: Buffer.alloc(0) });
    else exchange.refuse(fault);
  }

  #answer(exchange: Exchange, transport: Transport, ready: Opening | Answer | HttpErrorKey, guest: Guest): void {
    if (typeof ready === 'string') return exchange.refuse(ready);
    if ('begin' in ready) return this.#begin(exchange, transport, ready, guest);
    this.#sources.counters.refused.not_allowed += 1;
    exchange.answer(ready);
  }

  async #ready({ request: { socket } }: Exchange, { route, request }: AskedStream): Promise<Opening | Answer | HttpErrorKey> {
    const left = (): void => request.left?.();
    socket.once('end', left);
    socket.once('close', left);
    try {
      return await route.open(request);
    } catch (error) {
      return failureKey(joinFailure(error), error, this.#sources.log);
    } finally {
      socket.off('end', left);
      socket.off('close', left);
    }
  }

  #begin(exchange: Exchange, transport: Transport, opening: Opening, guest: Guest): void {
    const headers = [...(opening.greeting?.headers ?? []), ...Object.entries(exchange.headers)];
    const greeted = { ...opening, greeting: { subprotocol: undefined, headers } };
    const { socket } = exchange.request;
    // Who has ended its side reads no stream.
    if (socket.readableEnded) socket.destroy();
    const hasBegun = exchange.become((request) => {
      const fault = this.#sources.begin(transport, upgradeOf(request), greeted, guest);
      if (fault !== undefined) this.#refuse(exchange, fault);
    });
    if (!hasBegun) opening.cancel();
  }

  /** Its connection is nobody's any more. */
  #refuse({ request, headers }: Exchange, key: HttpErrorKey): void {
    answerSocket(request.socket, refusal(this.#sources.counters, key, headers));
  }
}

function upgradeOf(request: IncomingMessage): Upgrade {
  const tcp = request.socket;
  return { request, tcp, head: Buffer.alloc(0), written: tcp.bytesWritten };
}
