import type { Socket } from 'node:net';
import type { SessionTransport } from '../../counters.ts';
import { plainAddress } from '../../net/addresses.ts';
import type { End } from '../../errors.ts';
import type { Framing, Link } from '../../session/link.ts';
import type { Session } from '../../session/session.ts';
import { LAST_CHUNK } from './chunks.ts';

/** A client that does not end the connection after us is cut off after this. */
const CLOSE_TIMEOUT_MS = 5000;
/** The client has gone, which a stream has no words for (RFC 6455 section 7.1.5). */
const GONE: End = { code: 1005, reason: '' };
const LINK = Symbol('link');

/** How a kind of stream frames what it carries. */
export interface StreamFraming extends Framing {
  mark(cursor: string): Uint8Array;
  /** What says only that the stream lives. */
  readonly silence: Uint8Array;
}

/** A connection's TCP socket, and the way back from its events. */
interface StreamTcp extends Socket {
  [LINK]?: StreamLink;
}

/** A stream as a session's link, on its TCP socket itself: it only goes down. */
export class StreamLink implements Link {
  readonly kind: SessionTransport;
  /** Nothing is read that could wait. */
  readonly isBehind = false;
  readonly framing: StreamFraming;
  readonly #tcp: StreamTcp;
  #session: Session | undefined;
  #isOpen = true;
  #closeTimer: NodeJS.Timeout | undefined;

  constructor(tcp: Socket, kind: SessionTransport, framing: StreamFraming) {
    this.#tcp = tcp;
    this.kind = kind;
    this.framing = framing;
  }

  get address(): string {
    return plainAddress(this.#tcp.remoteAddress ?? '');
  }

  get writable(): boolean {
    return this.#isOpen;
  }

  get queued(): number {
    return this.#tcp.writableLength;
  }

  get isFull(): boolean {
    return this.#tcp.writableNeedDrain;
  }

  get isDestroyed(): boolean {
    return this.#tcp.destroyed && !this.#tcp.writableFinished;
  }

  /** The head of the answer has been written. Called once. */
  attach(begin: (link: Link) => Session): void {
    const tcp = this.#tcp;
    tcp[LINK] = this;
    tcp.setTimeout(0);
    tcp.setNoDelay();
    tcp.on('close', onClose);
    this.#session = begin(this);
    tcp.on('end', onEnd);
    // Whatever the client sends behind its request is not looked at, but its end is.
    tcp.on('data', ignore);
  }

  write(frames: Uint8Array): void {
    this.#tcp.write(frames);
  }

  cork(): void {
    this.#tcp.cork();
  }

  uncork(): void {
    this.#tcp.uncork();
  }

  onceDrained(tell: () => void): void {
    if (this.#tcp.writableNeedDrain) this.#tcp.once('drain', tell);
    else setImmediate(tell);
  }

  /** A stream cannot answer: it lives for as long as it takes what is written. */
  probe(token: number): Uint8Array {
    this.#session?.answered(token);
    return this.framing.silence;
  }

  /** What the client sends comes in requests of its own, each of which waits for its answer. */
  pause(): void {}

  resume(): void {}

  end(end: End): void {
    if (!this.#isOpen) return;
    this.#session?.closing(end);
    // It may have been found too slow, and ended, by what it was sent then.
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#tcp.end(LAST_CHUNK);
    this.#session?.outbox.passed(LAST_CHUNK.length);
    this.#closeTimer = setTimeout(cutOff, CLOSE_TIMEOUT_MS, this.#tcp);
  }

  destroy(): void {
    this.#tcp.destroy();
  }

  gone(): void {
    this.#isOpen = false;
    clearTimeout(this.#closeTimer);
    this.#session?.unlinked(this, GONE);
  }
}

// Listeners that all streams share, so that none has closures of its own.

function onClose(this: StreamTcp): void {
  this[LINK]?.gone();
}

/** Who ends its side in the middle of an answer has gone. */
function onEnd(this: StreamTcp): void {
  this.destroy();
}

function ignore(): void {}

function cutOff(tcp: StreamTcp): void {
  tcp.destroy();
}
