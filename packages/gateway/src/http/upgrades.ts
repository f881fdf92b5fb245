import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Admission, Guest } from '../admission.ts';
import type { Answer } from '../answer.ts';
import type { Counters } from '../counters.ts';
import { type HttpErrorKey, isRefused, type Refused } from '../errors.ts';
import { joinFailure } from '../layer-errors.ts';
import type { Seat } from '../limits/seats.ts';
import type { Log } from '../log.ts';
import { refusal } from '../refusal.ts';
import type { Clients } from '../net/clients.ts';
import type { Opening, Route } from '../routes/route.ts';
import type { Router } from '../routes/router.ts';
import { type Transport, wantedOf } from '../transports/transport.ts';
import { answerSocket } from './answer.ts';
import { hasBody } from './body.ts';
import { corsHeaders } from './cors.ts';
import { failureKey } from './failure.ts';
import { watchLeaving } from './leaving.ts';
import { destroyOnError, undoDestroyOnError } from './linger.ts';
import { readRequest } from './request.ts';
import { HttpRouteRequest } from './route-request.ts';

type Headers = Readonly<Record<string, string>>;

export interface UpgradeSources {
  readonly router: Router;
  readonly admission: Admission;
  readonly counters: Counters;
  readonly log: Log;
  readonly clients: Clients;
  readonly transports: (route: Route) => readonly Transport[];
  /** Answers the request by `transport`, and begins the session that its route has made ready. */
  readonly begin: (transport: Transport, upgrade: Upgrade, opening: Opening, guest: Guest) => HttpErrorKey | undefined;
}

/** A request whose connection is to become something else; what has come behind it is `head`. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly tcp: Socket;
  readonly head: Buffer;
  /** What had been written to the connection before. */
  readonly written: number;
}

interface AskedSession {
  readonly route: Route;
  readonly transport: Transport;
  readonly routeRequest: HttpRouteRequest;
}

/** A place is held for it until it has begun, or will not. */
interface Admitted extends AskedSession {
  readonly seat: Seat;
}

/** Upgrades: each becomes a session, or is refused before. */
export class Upgrades {
  readonly #sources: UpgradeSources;

  constructor(sources: UpgradeSources) {
    this.#sources = sources;
  }

  /** No error of a request may go further than this. */
  take(upgrade: Upgrade): void {
    try {
      this.#judge(upgrade);
    } catch (error) {
      this.#failed(upgrade, error);
    }
  }

  /** Refuses what has no response object: an upgrade, or what could not be read. */
  refuse(socket: Duplex, refused: Refused, headers?: Headers): void {
    this.#answer(socket, refusal(this.#sources.counters, refused, headers));
  }

  #judge(upgrade: Upgrade): void {
    const asked = this.#read(upgrade.request);
    if (typeof asked === 'string') return this.#refuse(upgrade, asked, asked === 'method' ? { Allow: 'GET' } : {});
    const { route, routeRequest } = asked;
    const seat = this.#sources.admission.admitSession(routeRequest, () => route.denial(routeRequest));
    if (seat instanceof Promise) void this.#admitLater(upgrade, asked, seat);
    else this.#admitted(upgrade, asked, seat);
  }

  /** Who asks is still being found out. Nothing of what comes meanwhile is read. */
  async #admitLater(upgrade: Upgrade, asked: AskedSession, admission: Promise<Refused | Seat>): Promise<void> {
    const { tcp } = upgrade;
    destroyOnError(tcp);
    try {
      const seat = await admission;
      undoDestroyOnError(tcp);
      if (!tcp.destroyed) this.#admitted(upgrade, asked, seat);
      else if (!isRefused(seat)) this.#sources.admission.settle(seat);
    } catch (error) {
      this.#failed(upgrade, error);
    }
  }

  #admitted(upgrade: Upgrade, asked: AskedSession, seat: Refused | Seat): void {
    if (isRefused(seat)) this.#refuse(upgrade, seat);
    else this.#open(upgrade, { ...asked, seat });
  }

  #refuse(upgrade: Upgrade, refused: Refused, headers?: Headers): void {
    this.refuse(upgrade.tcp, refused, { ...headers, ...this.#cors(upgrade) });
  }

  #cors({ request }: Upgrade): Headers {
    return corsHeaders(request, request.headers.host ?? '', this.#sources.admission);
  }

  #read(request: IncomingMessage): AskedSession | HttpErrorKey {
    const target = readRequest(request);
    if (typeof target === 'string') return target;
    const foreign = this.#sources.admission.host(target.host);
    if (foreign !== undefined) return foreign;
    const match = this.#sources.router.match(target.path);
    if (match === undefined) return 'no_route';
    if (request.method !== 'GET') return 'method';
    if (hasBody(request)) return 'bad_request';
    const { route, params } = match;
    const transport = wantedOf(this.#sources.transports(route), request);
    if (transport === undefined) return 'no_transport';
    return (
      route.fault(params) ??
      transport.fault(request) ?? { route, transport, routeRequest: new HttpRouteRequest(request, target, params, this.#sources.clients) }
    );
  }

  #open(upgrade: Upgrade, asked: Admitted): void {
    let opening: Opening | Answer | HttpErrorKey | Promise<Opening | Answer | HttpErrorKey>;
    try {
      opening = asked.route.open(asked.routeRequest);
    } catch (error) {
      opening = Promise.reject(error as Error);
    }
    if (opening instanceof Promise) void this.#openLater(upgrade, asked, opening);
    else this.#begin(upgrade, asked, opening);
  }

  async #openLater(upgrade: Upgrade, asked: Admitted, opening: Promise<Opening | Answer | HttpErrorKey>): Promise<void> {
    const { tcp } = upgrade;
    const { left } = asked.routeRequest;
    const stopWatching = left === undefined ? undefined : watchLeaving(tcp, left);
    destroyOnError(tcp);
    let ready: Opening | Answer | HttpErrorKey;
    try {
      ready = await opening;
      stopWatching?.();
      undoDestroyOnError(tcp);
    } catch (error) {
      stopWatching?.();
      this.#sources.admission.settle(asked.seat);
      return this.#refuse(upgrade, failureKey(joinFailure(error), error, this.#sources.log));
    }
    try {
      this.#begin(upgrade, asked, ready);
    } catch (error) {
      this.#failed(upgrade, error);
    }
  }

  #begin(upgrade: Upgrade, asked: Admitted, ready: Opening | Answer | HttpErrorKey): void {
    try {
      this.#answerWith(upgrade, asked, ready);
    } finally {
      this.#sources.admission.settle(asked.seat);
    }
  }

  #answerWith(upgrade: Upgrade, { transport, routeRequest: { identity }, seat }: Admitted, ready: Opening | Answer | HttpErrorKey): void {
    if (typeof ready === 'string') return this.refuse(upgrade.tcp, ready);
    if ('status' in ready) {
      this.#sources.counters.refused.not_allowed += 1;
      return this.#answer(upgrade.tcp, { ...ready, headers: { ...ready.headers, ...this.#cors(upgrade) } });
    }
    const fault = this.#sources.begin(transport, upgrade, ready, { identity, seat });
    if (fault !== undefined) this.#refuse(upgrade, fault);
  }

  /** Where the answer had begun there is no other one. */
  #failed(upgrade: Upgrade, error: unknown): void {
    const { tcp, written } = upgrade;
    const key = failureKey('internal', error, this.#sources.log);
    if (tcp.bytesWritten === written) this.#refuse(upgrade, key);
    else tcp.destroy();
  }

  #answer(socket: Duplex, answer: Answer): void {
    destroyOnError(socket);
    answerSocket(socket, answer);
  }
}
