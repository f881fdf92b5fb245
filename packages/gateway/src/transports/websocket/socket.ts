import { isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import { plainAddress } from '../../net/addresses.ts';
import { closeOf, type End } from '../../errors.ts';
import { costOf, type Inbound } from '../../inbound.ts';
import type { Framing, Link } from '../../session/link.ts';
import { Pace, type ReadRates } from '../../limits/pace.ts';
import type { Session } from '../../session/session.ts';
import type { Reader, ReadTurns } from '../read-turns.ts';
import { closeFrame, pingFrame, pongFrame, readClose, tokenOf, WEBSOCKET_FRAMING } from './frames.ts';
import { type Received, type ReceiveFault, type ReceiveLimits, Receiver } from './receiver.ts';

/** A peer that does not answer a close frame is cut off after this. */
const CLOSE_TIMEOUT_MS = 5000;
/** A link that ended without a close frame (RFC 6455 section 7.1.5). */
const ABNORMAL: End = { code: 1006, reason: '' };
/** Frames that are read of one socket before others have their turn: with the costliest, some half a millisecond. */
const FRAMES_A_TURN = 64;
/** A message that is a smaller part than this of what was read with it is copied, since whoever keeps it would keep all of that. */
const SMALL_PART = 0.5;

const LINK = Symbol('link');

/** A connection's TCP socket, and the way back from its events. */
interface WebSocketTcp extends Socket {
  [LINK]?: WebSocketLink;
}

/** What the sockets of a transport share. */
export interface SocketContext {
  readonly limits: ReceiveLimits;
  readonly inbound: Inbound;
  readonly turns: ReadTurns;
  readonly rates: ReadRates;
  /** Milliseconds, never going back. */
  readonly now: () => number;
  /** In its first state, as after every whole message: a socket takes it only when something is left over. */
  spare: Receiver;
}

/** A WebSocket as a session's link, on its TCP socket itself: no stream, buffer, timer or closure of its own while nothing is under way. */
export class WebSocketLink implements Link, Reader, Received {
  readonly kind = 'websocket';
  isWaiting = false;
  readonly #tcp: WebSocketTcp;
  readonly #context: SocketContext;
  #session: Session | undefined;
  #state: 'open' | 'closing' | 'closed' = 'open';
  /** What the peer sends is not looked at any more. */
  #isDeaf = false;
  #isPaused = false;
  #hasEnded = false;
  #peerEnd = ABNORMAL;
  #closeTimer: NodeJS.Timeout | undefined;
  #receiver: Receiver | undefined;
  /** What was read of the socket and is still to be looked at, and what it costs where that is not at once. */
  #unread: Buffer | undefined;
  #unreadCost = 0;
  /** How far the peer is ahead of the rates; made when the first thing comes that is counted. */
  #pace: Pace | undefined;
  /** Answers to pings, which leave together. */
  #pongs: Buffer[] | undefined;

  constructor(tcp: Socket, context: SocketContext) {
    this.#tcp = tcp;
    this.#context = context;
  }

  get framing(): Framing {
    return WEBSOCKET_FRAMING;
  }

  get address(): string {
    return plainAddress(this.#tcp.remoteAddress ?? '');
  }

  get writable(): boolean {
    return this.#state === 'open';
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

  /** Who floods us with control frames, or is gone and left us more than may be read, does not live on by that. */
  get isBehind(): boolean {
    return this.#unread !== undefined && !this.#hasEnded && this.#pace?.isFlooded !== true;
  }

  get begun(): number {
    return (this.#receiver?.begun ?? 0) + this.#unreadCost;
  }

  evict(): void {
    this.fault('full');
  }

  get isReading(): boolean {
    return !this.#isPaused && !this.#isDeaf && (this.#pace === undefined || this.#pace.wait === 0);
  }

  /** The handshake is done, and `head` came with it. Called once, before anything is read. */
  attach(begin: (link: Link) => Session, head: Buffer): void {
    const tcp = this.#tcp;
    tcp[LINK] = this;
    tcp.setTimeout(0);
    tcp.setNoDelay();
    // Node's own forbids to write where the connection may not be half open, which ours may: beside it ours would need an array of listeners.
    if (tcp.allowHalfOpen) for (const listener of tcp.rawListeners('end')) tcp.removeListener('end', listener as () => void);
    tcp.on('error', onError);
    tcp.on('close', onClose);
    this.#session = begin(this);
    tcp.on('end', onEnd);
    tcp.on('data', onData);
    if (head.length > 0) tcp.unshift(head);
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

  probe(token: number): Uint8Array {
    return pingFrame(token);
  }

  pause(): void {
    this.#isPaused = true;
    this.#tcp.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#unread === undefined) this.#tcp.resume();
    else this.#context.turns.add(this);
  }

  /** Whoever ends it, what waits for the session leaves before. */
  end(end: End): void {
    if (this.#state !== 'open') return;
    this.#session?.closing(end);
    // It may have been found too slow, and ended, by what it was sent then.
    if (!this.writable) return;
    this.#state = 'closing';
    const frame = closeFrame(end);
    this.#tcp.write(frame);
    this.#session?.outbox.passed(frame.length);
    this.#closeTimer = setTimeout(cutOff, CLOSE_TIMEOUT_MS, this.#tcp);
  }

  destroy(): void {
    this.#tcp.destroy();
  }

  /** Bytes have come. */
  take(chunk: Buffer): void {
    this.#context.inbound.came(chunk.length);
    if (this.#isDeaf) return;
    this.#unread = chunk;
    if (this.#context.rates.bytes !== undefined) this.#ownPace.bytes(chunk.length);
    this.#context.turns.take(this);
    this.#hold();
  }

  /** Looks at what was read of the socket, up to a bound. */
  read(): boolean {
    const chunk = this.#unread;
    if (chunk === undefined || !this.isReading) return this.#wait();
    const receiver = this.#receiver ?? this.#context.spare;
    const at = receiver.read(chunk, 0, FRAMES_A_TURN, this);
    this.#answerPings();
    if (this.#isDeaf) {
      receiver.release();
      return false;
    }
    this.#keep(receiver);
    if (at < chunk.length) {
      this.#unread = chunk.subarray(at);
      return this.isReading || this.#wait();
    }
    this.#drop();
    this.#session?.partial(this.#receiver !== undefined);
    if (this.#hasEnded) this.ended();
    else if (!this.#isPaused) this.#tcp.resume();
    return false;
  }

  message(data: Buffer, binary: boolean, frames: number): void {
    if (this.#context.rates.frames !== undefined) this.#ownPace.frames(frames);
    // A ping that came before it is answered before it is.
    this.#answerPings();
    if (!binary && !isUtf8(data)) return this.fault('encoding');
    const isSmall = data.length < data.buffer.byteLength * SMALL_PART;
    this.#session?.receive(isSmall ? Buffer.from(data) : data, binary);
  }

  ping(payload: Buffer): void {
    this.#ownPace.control();
    (this.#pongs ??= []).push(pongFrame(payload));
  }

  pong(payload: Buffer): void {
    if (this.#session?.answered(tokenOf(payload)) !== true) this.#ownPace.control();
  }

  close(payload: Buffer): void {
    const end = readClose(payload);
    if (typeof end === 'string') return this.fault(end);
    this.#answerPings();
    this.#peerEnd = end;
    this.end(end);
    this.#deafen();
  }

  fault(key: ReceiveFault | 'encoding'): void {
    this.#answerPings();
    this.end(closeOf(key));
    this.#deafen();
  }

  /** The peer will send no more. Once all of it was looked at that is an end, also without a close frame. */
  ended(): void {
    this.#hasEnded = true;
    if (this.#unread !== undefined) return;
    if (this.#state === 'open') this.#state = 'closing';
    this.#deafen();
  }

  gone(): void {
    this.#state = 'closed';
    clearTimeout(this.#closeTimer);
    this.#isDeaf = true;
    this.#drop();
    this.#receiver?.release();
    this.#context.inbound.remove(this);
    this.#session?.unlinked(this, this.#peerEnd);
  }

  /** Nothing more is wanted of the peer but that it ends the connection, as we do. */
  #deafen(): void {
    this.#isDeaf = true;
    this.#drop();
    this.#receiver?.release();
    this.#receiver = undefined;
    this.#context.inbound.remove(this);
    this.#tcp.end();
    this.#tcp.resume();
  }

  get #ownPace(): Pace {
    this.#pace ??= new Pace(this.#context.rates, this.#context.now);
    return this.#pace;
  }

  /** What was read and came too fast is looked at later. Nothing can be read now. */
  #wait(): false {
    if (this.#unread !== undefined && !this.#isPaused && !this.#isDeaf) this.#context.turns.later(this, this.#pace?.wait ?? 0);
    return false;
  }

  #answerPings(): void {
    const pongs = this.#pongs;
    if (pongs === undefined) return;
    this.#pongs = undefined;
    this.#session?.outbox.write(pongs.length === 1 ? (pongs[0] as Buffer) : Buffer.concat(pongs), 0);
  }

  /** The receiver is this socket's own for as long as something is left over in it. */
  #keep(receiver: Receiver): void {
    const { limits, inbound, spare } = this.#context;
    if (receiver.isIdle) this.#receiver = undefined;
    else if (receiver === spare) {
      this.#receiver = spare;
      this.#context.spare = new Receiver(limits, inbound);
      inbound.add(this);
    }
  }

  /** What could not be looked at yet is kept, and nothing more is read of the socket before it was. */
  #hold(): void {
    const rest = this.#unread;
    if (rest === undefined || this.#unreadCost > 0) return;
    const kept = rest.length * 2 < rest.buffer.byteLength ? Buffer.from(rest) : rest;
    const cost = costOf(kept);
    if (!this.#context.inbound.take(cost, this)) return this.fault('full');
    this.#unread = kept;
    this.#unreadCost = cost;
    this.#context.inbound.add(this);
    this.#tcp.pause();
    this.#session?.partial(false);
  }

  #drop(): void {
    this.#unread = undefined;
    this.#context.inbound.give(this.#unreadCost);
    this.#unreadCost = 0;
    if (this.#receiver === undefined) this.#context.inbound.remove(this);
  }
}

// Listeners that all sockets share, so that none has closures of its own.

function onData(this: WebSocketTcp, chunk: Buffer): void {
  this[LINK]?.take(chunk);
}

function onEnd(this: WebSocketTcp): void {
  this[LINK]?.ended();
}

function onClose(this: WebSocketTcp): void {
  this[LINK]?.gone();
}

/** A lost connection is told by `close`. */
function onError(this: WebSocketTcp): void {
  this.destroy();
}

function cutOff(tcp: WebSocketTcp): void {
  tcp.destroy();
}
