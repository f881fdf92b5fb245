import { Admission } from '../../src/admission.ts';
import { type Answer, jsonAnswer } from '../../src/answer.ts';
import { type Counters, createCounters } from '../../src/counters.ts';
import { type PublicOptions, PublicServer } from '../../src/http.ts';
import { Inbound } from '../../src/inbound.ts';
import { Seats } from '../../src/limits/seats.ts';
import type { Log } from '../../src/log.ts';
import { Clients } from '../../src/net/clients.ts';
import type { RouteRequest } from '../../src/routes/request.ts';
import type { Opening, Route } from '../../src/routes/route.ts';
import { Router } from '../../src/routes/router.ts';
import { ReadTurns } from '../../src/transports/read-turns.ts';
import { WebSocketTransport } from '../../src/transports/websocket.ts';

/** A route that does what the test says. */
class TestRoute implements Route {
  readonly path = { text: '/r/:name', segments: [{ literal: 'r' }, { param: 'name' }] } as const;
  readonly messageLimit = 1024;
  /** The bodies that were posted, in the order in which they began. */
  readonly posted: string[] = [];
  /** What was asked, as the route was told. */
  readonly asked: RouteRequest[] = [];
  /** Gives the answer to a POST; at once where the test says nothing. */
  onPost: (body: string) => Answer | Promise<Answer> = () => jsonAnswer(202, {});
  onOpen: () => Opening | Answer | Promise<Opening | Answer> = () => jsonAnswer(403, {});

  get posting(): this {
    return this;
  }

  fault(): undefined {
    return undefined;
  }

  denial(): undefined {
    return undefined;
  }

  postDenial(): undefined {
    return undefined;
  }

  open(request: RouteRequest): Opening | Answer | Promise<Opening | Answer> {
    this.asked.push(request);
    return this.onOpen();
  }

  async post(request: RouteRequest, body: Uint8Array): Promise<Answer> {
    this.asked.push(request);
    this.posted.push(Buffer.from(body).toString());
    return await this.onPost(this.posted.at(-1) ?? '');
  }
}

/** Where no address and no user has a limit. */
export const UNCOUNTED = new Seats({ address: { sessions: undefined, handshakes: undefined }, user: { sessions: undefined, replace: false } }, () => 0);

/** Where clients are read as fast as they come. */
export const UNPACED = { frames: undefined, bytes: undefined, control: undefined };

/** The public port over a route of the test's, without sessions and layer. */
export class TestPublic implements AsyncDisposable {
  readonly route = new TestRoute();
  readonly counters: Counters = createCounters();
  readonly inbound: Inbound;
  readonly server: PublicServer;
  readonly logged: string[] = [];
  isDraining = false;
  port = 0;

  private constructor(changes: Partial<PublicOptions>) {
    this.inbound = changes.inbound ?? new Inbound(64 * 1024 * 1024);
    const write = (message: string): void => void this.logged.push(message);
    const log: Log = { debug: write, info: write, warn: write, error: write };
    const layer = { status: { state: 'connected' as const, since: new Date() } };
    const transport = new WebSocketTransport(
      { message: 1024, fragments: 16, rates: UNPACED, mayRepeat: () => false },
      this.inbound,
      new ReadTurns({ now: () => performance.now(), defer: setImmediate }),
    );
    this.server = new PublicServer({
      router: new Router([this.route]),
      admission: new Admission({
        layer,
        memory: { isFull: false },
        refuses: () => false,
        sessions: () => 0,
        limit: 10,
        origins: [],
        answersTo: () => true,
        seats: UNCOUNTED,
        authority: undefined,
        believesCookies: false,
        log,
      }),
      counters: this.counters,
      log,
      demo: new Map(),
      handshake: 10_000,
      messageTime: 30_000,
      keepAlive: 60_000,
      sessions: 100,
      payload: 64 * 1024,
      clients: new Clients([]),
      proxied: undefined,
      inbound: this.inbound,
      transports: () => [transport],
      begin: (_transport, { tcp }, opening) => {
        opening.cancel();
        tcp.destroy();
        return undefined;
      },
      isDraining: () => this.isDraining,
      ...changes,
    });
  }

  /** One that does not listen: it is given connections. */
  static unheard(changes: Partial<PublicOptions> = {}): TestPublic {
    return new TestPublic(changes);
  }

  static async start(changes: Partial<PublicOptions> = {}): Promise<TestPublic> {
    const started = TestPublic.unheard(changes);
    started.port = (await started.server.listen('127.0.0.1', 0)).port;
    return started;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    await this.server.answered();
  }
}
