import { checkStatus } from './checks.ts';

/** The socket is closed: nothing more is received or sent. */
export class ConnectionClosedError extends Error {
  override readonly name = 'ConnectionClosedError';
  /** As in the close frame; 1006 where there was none. */
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string) {
    super(`the connection is closed (${code}${reason === '' ? '' : `: ${reason}`})`);
    this.code = code;
    this.reason = reason;
  }
}

/** Nothing was received in time. The socket is open, and nothing is lost. */
export class ReceiveTimeoutError extends Error {
  override readonly name = 'ReceiveTimeoutError';

  constructor(ms: number) {
    super(`nothing was received within ${ms} ms`);
  }
}

/** Thrown by a handler before it has accepted: the client gets this status instead of a socket. */
export class RejectConnection extends Error {
  override readonly name = 'RejectConnection';
  readonly status: number;
  readonly body: string;

  /** `status`: 300 to 599. */
  constructor(status = 403, body = '') {
    super(`the connection is refused with ${status}`);
    checkStatus(status);
    this.status = status;
    this.body = body;
  }
}

/** Thrown by what decides about a connection: accepts it. */
export class AcceptConnection extends Error {
  override readonly name = 'AcceptConnection';
  readonly subprotocol: string | undefined;

  constructor(subprotocol?: string) {
    super('the connection is accepted');
    this.subprotocol = subprotocol;
  }
}

/** Thrown by a handler: closes the socket with this code. */
export class CloseConnection extends Error {
  override readonly name = 'CloseConnection';
  readonly code: number;
  readonly reason: string;

  /** `code`: 1000, 1001, 1008, 1011 to 1013, or 3000 to 4999; `reason`: at most 123 bytes. */
  constructor(code = 1000, reason = '') {
    super(`the connection is closed with ${code}`);
    checkClose(code, reason);
    this.code = code;
    this.reason = reason;
  }
}

/** Thrown by a handler: ends the consumer without a word. A socket that is still open is closed with 1000. */
export class StopConsumer extends Error {
  override readonly name = 'StopConsumer';

  constructor() {
    super('the consumer has ended');
  }
}

/** A worker that stops gives its sessions back: whoever waits for a message is told so. Not to be caught. */
export class Released extends Error {
  override readonly name = 'Released';

  constructor() {
    super('the session was given back, since this worker is stopping');
  }
}

/** A code that an application may send (RFC 6455 section 7.4), and a reason that a close frame can hold (section 5.5). */
export function checkClose(code: number, reason: string): void {
  const allowed = [1000, 1001, 1008, 1011, 1012, 1013].includes(code) || (Number.isInteger(code) && code >= 3000 && code <= 4999);
  if (!allowed) throw new RangeError(`a close code must be 1000, 1001, 1008, 1011 to 1013, or 3000 to 4999, not ${code}`);
  if (new TextEncoder().encode(reason).length > 123) throw new RangeError('the reason of a close must be at most 123 bytes');
}
