import { Buffer } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { costOf, type Holder, type Inbound } from '../inbound.ts';

/** What is made ready at least for a body that comes in pieces, in bytes. */
const MIN_CAPACITY = 1024;

/** Why a body is not read to its end. */
export type BodyFault = 'body_too_large' | 'full';

/**
 * The body of one request, read from the moment of its making: so nothing of it waits in pieces, each of which costs some 200 bytes however little it holds. What
 * it holds is taken from the process's bound until {@link release}.
 */
export class Body implements Holder {
  readonly #limit: number;
  readonly #inbound: Inbound;
  /** All of it, or undefined where the client went before its end. */
  readonly whole: Promise<Buffer | BodyFault | undefined>;
  /** The first `#length` bytes of it have come. */
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  #cost = 0;
  #isOver = false;

  /** Ends the reading for this reason. */
  #give: (fault: BodyFault) => void = () => undefined;

  /** `limit` in bytes. */
  constructor(request: IncomingMessage, limit: number, inbound: Inbound) {
    this.#limit = limit;
    this.#inbound = inbound;
    this.whole = new Promise((resolve) => {
      this.#give = resolve;
      const settle = (): void => {
        resolve(request.complete ? this.#bytes.subarray(0, this.#length) : undefined);
        if (!request.complete) this.release();
      };
      if (announcedLength(request) > limit) this.#fail('body_too_large', resolve);
      request.on('data', (chunk: Buffer) => this.#take(chunk, resolve));
      request.once('end', settle);
      request.once('close', settle);
      request.once('error', settle);
    });
  }

  get begun(): number {
    return this.#cost;
  }

  evict(): void {
    this.#fail('full', this.#give);
  }

  /** What was read is handed on, or not wanted; what still comes is dropped. */
  release(): void {
    this.#isOver = true;
    this.#inbound.remove(this);
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
    this.#inbound.give(this.#cost);
    this.#cost = 0;
  }

  #take(chunk: Buffer, resolve: (fault: BodyFault) => void): void {
    this.#inbound.came(chunk.length);
    if (this.#isOver) return;
    const length = this.#length + chunk.length;
    if (length > this.#limit) return this.#fail('body_too_large', resolve);
    if (length > this.#bytes.length && !this.#makeRoom(chunk, length)) return this.#fail('full', resolve);
    if (this.#bytes !== chunk) chunk.copy(this.#bytes, this.#length);
    this.#length = length;
  }

  /** A body in one piece is that piece; else it doubles, so that its pieces are copied once or twice. False where the process's bound is met. */
  #makeRoom(chunk: Buffer, length: number): boolean {
    const isFirst = this.#length === 0;
    const capacity = Math.min(this.#limit, Math.max(MIN_CAPACITY, length, this.#length * 2));
    const cost = isFirst ? costOf(chunk) : capacity;
    if (!this.#inbound.take(cost, this)) return false;
    this.#inbound.add(this);
    this.#inbound.give(this.#cost);
    this.#cost = cost;
    const before = this.#bytes.subarray(0, this.#length);
    this.#bytes = isFirst ? chunk : Buffer.allocUnsafeSlow(capacity);
    if (!isFirst) before.copy(this.#bytes);
    return true;
  }

  #fail(fault: BodyFault, resolve: (fault: BodyFault) => void): void {
    this.release();
    resolve(fault);
  }
}

/** Whether a body was announced, be it empty. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

/** Bytes of the body as its head says; 0 where it does not. */
export function announcedLength({ headers }: IncomingMessage): number {
  return Number(headers['content-length'] ?? 0);
}
