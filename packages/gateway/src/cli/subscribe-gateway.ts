import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { ReconnectWaits } from './reconnect-waits.ts';
import type { Output } from './output.ts';
import { note, reasonOf } from './reasons.ts';
import { roomUrl } from './target.ts';

const HANDSHAKE_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2000;
/** A gateway that is gone without a word is noticed by a ping that it does not answer. */
const PING_MS = 25_000;
const PONG_MS = 10_000;
/** Closed for a reason that would only come again. */
const FINAL_CODES = new Set([1002, 1003, 1007, 1008, 4401, 4403]);

/** The gateway, or the way to it, is not there just now. */
const UNREACHED = new Set(['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'EPIPE']);

/** How a connection ended. */
interface Ended {
  /** Whether it was open before. */
  readonly opened: boolean;
  readonly reason: string;
  /** Whether it may go better the next time. */
  readonly again: boolean;
}

/** Listens through a gateway, and connects again when it goes away or is not there yet. Gives up where it is not let in, or nothing speaks WebSocket. */
export async function subscribeGateway(base: URL, room: string, output: Output, signal: AbortSignal): Promise<number> {
  const url = roomUrl(base, room);
  url.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:';
  const waits = new ReconnectWaits();
  while (!signal.aborted) {
    const ended = await listen(url, output, signal);
    if (signal.aborted) return 0;
    if (!ended.again) {
      note('subscribe', `${base.origin}: ${ended.reason}`);
      return 1;
    }
    if (ended.opened) waits.reset();
    if (waits.failures === 0) note('subscribe', `${base.origin}: ${ended.reason}; connecting again, what is published meanwhile is not shown`);
    await waits.wait(signal);
  }
  return 0;
}

/** One connection, until it ends. */
function listen(url: URL, output: Output, signal: AbortSignal): Promise<Ended> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, { handshakeTimeout: HANDSHAKE_TIMEOUT_MS, perMessageDeflate: false });
    let opened = false;
    let failure: string | undefined;
    let mayReach = true;
    const heartbeat = new GatewayHeartbeat(socket);
    const stop = () => {
      socket.close(1000);
      setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS).unref();
    };
    signal.addEventListener('abort', stop, { once: true });
    socket.on('open', () => {
      opened = true;
      heartbeat.start();
    });
    socket.on('message', (payload: Buffer) => {
      if (signal.aborted || output.write(payload)) return;
      socket.pause();
      void output.drained().then(() => socket.resume());
    });
    socket.on('unexpected-response', (_request, response) => {
      mayReach = response.statusCode === 503 || response.statusCode === 429;
      failure = refusal(response);
      socket.terminate();
    });
    socket.on('error', (error) => {
      if (failure !== undefined) return;
      failure = reasonOf(error);
      mayReach = opened || isUnreached(error);
    });
    socket.on('close', (code, text) => {
      heartbeat.stop();
      signal.removeEventListener('abort', stop);
      const reason = failure ?? `closed with ${code}${text.length === 0 ? '' : ` (${text.toString()})`}`;
      resolve({ opened, reason, again: mayReach && !FINAL_CODES.has(code) });
    });
  });
}

/** An error without a code is a handshake that took too long. */
function isUnreached(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isUnreached);
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || UNREACHED.has(code);
}

function refusal({ statusCode, statusMessage }: IncomingMessage): string {
  return `refused with ${statusCode ?? 'no status'} ${statusMessage ?? ''}`.trimEnd();
}

class GatewayHeartbeat {
  readonly #socket: WebSocket;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('pong', () => this.start());
  }

  start(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#socket.ping();
      this.#timer = setTimeout(() => this.#socket.terminate(), PONG_MS);
    }, PING_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
