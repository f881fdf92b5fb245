import { createCounters } from '../../src/counters.ts';
import { ANYONE } from '../../src/identity.ts';
import { Inbound } from '../../src/inbound.ts';
import type { Conversation } from '../../src/session/conversation.ts';
import { Deadlines } from '../../src/session/deadlines.ts';
import { Outboxes } from '../../src/session/outbox.ts';
import { Sessions } from '../../src/session/registry.ts';
import { Session } from '../../src/session/session.ts';
import { ReadTurns } from '../../src/transports/read-turns.ts';
import type { ReceiveLimits } from '../../src/transports/websocket/receiver.ts';
import { WebSocketTransport } from '../../src/transports/websocket.ts';
import { TestPublic, UNPACED } from './public.ts';

const GIB = 1_073_741_824;
const HOUR_MS = 3_600_000;
/** No ping of ours comes between what a test counts. */
const TIMES = { interval: HOUR_MS, timeout: HOUR_MS, message: HOUR_MS };

/** The gateway's wire without rooms: each message goes back to its sender, as what it came. */
export class EchoServer implements AsyncDisposable {
  readonly #public: TestPublic;

  private constructor(server: TestPublic) {
    this.#public = server;
  }

  static async start(limits: ReceiveLimits): Promise<EchoServer> {
    const now = (): number => performance.now();
    const inbound = new Inbound(GIB);
    const sessions = new Sessions(
      new Outboxes(createCounters(), GIB, GIB, now),
      new Deadlines(HOUR_MS),
      { websocket: TIMES, sse: TIMES, stream: TIMES },
      now,
      'echo',
      {
        grace: 0,
        renew: () => undefined,
      },
    );
    const transport = new WebSocketTransport({ ...limits, rates: UNPACED, mayRepeat: () => false }, inbound, new ReadTurns({ now, defer: setImmediate }));
    const server = await TestPublic.start({
      inbound,
      transports: () => [transport],
      begin: (wire, { request, tcp, head }, opening) => {
        wire.accept(request, tcp, head, undefined, (link) => new Session(link, sessions, ANYONE, (session) => opening.begin(session)));
        return undefined;
      },
    });
    server.route.onOpen = () => ({ kind: 'room', begin: echo, cancel() {} });
    return new EchoServer(server);
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#public.port}/r/echo`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#public[Symbol.asyncDispose]();
  }
}

function echo(session: Session): Conversation {
  const back = (data: Buffer, binary: boolean): void => session.sendAll([{ binary, parts: [data], length: data.length, position: undefined }], 0);
  return { route: '/r/:name', rooms: [], text: (data) => back(data, false), binary: (data) => back(data, true), announceDrain() {}, end() {} };
}
