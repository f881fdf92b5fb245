import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { End } from '../../errors.ts';
import type { Framing, Link } from '../../session/link.ts';
import type { Session } from '../../session/session.ts';
import { pingFrame, pongFrame, tokenOf, WEBSOCKET_FRAMING } from './frames.ts';
import { Progress } from './progress.ts';

const SOCKET = Symbol('socket');

/** A connection's TCP socket, and the way back from its events. */
interface Tcp extends Socket {
  [SOCKET]?: GatewaySocket;
}

/**
 * A WebSocket as a session's link. `ws` does what is received and the closing handshake; what is sent are frames made elsewhere, written to the
 * TCP socket as they are.
 */
export class GatewaySocket extends WebSocket implements Link {
  session: Session | undefined;
  #tcp: Tcp | undefined;
  #progress: Progress | undefined;

  get kind(): 'websocket' {
    return 'websocket';
  }

  get framing(): Framing {
    return WEBSOCKET_FRAMING;
  }

  get writable(): boolean {
    return this.readyState === WebSocket.OPEN;
  }

  get queued(): number {
    return this.#tcp?.writableLength ?? 0;
  }

  get isDestroyed(): boolean {
    return this.#tcp === undefined || (this.#tcp.destroyed && !this.#tcp.writableFinished);
  }

  /** The handshake is done. Called once, before anything is read. */
  attach(tcp: Socket, begin: (link: Link) => Session): void {
    this.#tcp = tcp;
    this.#tcp[SOCKET] = this;
    this.session = begin(this);
    this.on('message', onMessage);
    this.on('ping', onPing);
    this.on('pong', onPong);
    this.on('error', onError);
    this.on('close', onClose);
    tcp.on('data', onData);
  }

  write(frames: Uint8Array): void {
    this.#tcp?.write(frames);
  }

  cork(): void {
    this.#tcp?.cork();
  }

  uncork(): void {
    this.#tcp?.uncork();
  }

  probe(token: number): Uint8Array {
    return pingFrame(token);
  }

  end({ code, reason }: End): void {
    this.close(code, reason);
  }

  /** Also called by `ws`, to answer a close frame and to refuse what is malformed: whoever ends it, what waits for the session leaves before. */
  override close(code?: number, reason?: string | Buffer): void {
    const { session } = this;
    if (this.readyState === WebSocket.OPEN) session?.closing({ code: code ?? NO_CODE, reason: reason?.toString() ?? '' });
    const before = this.queued;
    super.close(code, reason);
    session?.outbox.passed(this.queued - before);
  }

  destroy(): void {
    this.terminate();
  }

  /** Bytes have come, which `ws` has read. */
  follow(chunk: Uint8Array): void {
    const progress = this.#progress ?? spare;
    const isPartial = progress.feed(chunk);
    if (isPartial && progress === spare) {
      this.#progress = spare;
      spare = new Progress();
    } else if (!isPartial) {
      this.#progress = undefined;
    }
    this.session?.partial(isPartial);
  }
}

/** In its first state, as after every whole message: a socket takes it only when something is left over. */
let spare = new Progress();

/** A close frame without a code (RFC 6455 section 7.1.5). */
const NO_CODE = 1005;

// Listeners that all sockets share, so that none has closures of its own.

function onMessage(this: WebSocket, data: unknown, binary: boolean): void {
  (this as GatewaySocket).session?.receive(data as Buffer, binary);
}

function onPing(this: WebSocket, payload: Buffer): void {
  (this as GatewaySocket).session?.outbox.write(pongFrame(payload), 0);
}

function onPong(this: WebSocket, payload: Buffer): void {
  (this as GatewaySocket).session?.answered(tokenOf(payload));
}

/** `ws` has closed with the code that fits; a lost connection is told by `close`. */
function onError(): void {}

function onClose(this: WebSocket, code: number, reason: Buffer): void {
  const link = this as GatewaySocket;
  link.session?.unlinked(link, { code, reason: reason.toString() });
}

function onData(this: Tcp, chunk: Buffer): void {
  this[SOCKET]?.follow(chunk);
}
