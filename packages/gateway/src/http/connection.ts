import type { Socket } from 'node:net';
import type { Inbound } from '../inbound.ts';
import { endSocket } from './answer.ts';

/** Requests of one connection that may be open; past it the connection is not read until half of them are answered. */
const MAX_OPEN = 64;
/** What an open request costs beside its body, in bytes: two streams with their headers. */
const REQUEST_COST = 4096;
/** What a connection costs that has asked for nothing yet, in bytes. Measured on Node 24: 11 KiB. */
const CONNECTION_COST = 12_288;

/** A request, and the answer that it is owed. */
export interface Owed {
  /** Whether all of it has come. */
  readonly isWhole: boolean;
  /** Begins to serve it. Resolves when the next one of its connection may begin; it never rejects. */
  begin(): Promise<void>;
  /** It will neither begin nor be answered. */
  drop(): void;
}

/** All connections that owe an answer. */
export class Connections {
  readonly #inbound: Inbound;
  readonly #all = new Map<Socket, Connection>();
  #open = 0;
  #whenNone: (() => void)[] = [];

  constructor(inbound: Inbound) {
    this.#inbound = inbound;
  }

  /** The connection, from its first request on. */
  of(socket: Socket): Connection {
    const known = this.#all.get(socket);
    if (known !== undefined) return known;
    const connection = new Connection(socket, this.#inbound, this);
    this.#all.set(socket, connection);
    socket.once('close', connection.onClose);
    socket.on('resume', connection.onResume);
    return connection;
  }

  /** Nothing of HTTP is left on it. */
  forget(socket: Socket): void {
    const connection = this.#all.get(socket);
    if (connection === undefined) return;
    this.#all.delete(socket);
    socket.off('close', connection.onClose);
    socket.off('resume', connection.onResume);
  }

  /** One that has had a request. */
  find(socket: Socket): Connection | undefined {
    return this.#all.get(socket);
  }

  /** Resolves as soon as no answer is owed. */
  none(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#open === 0) resolve();
      else this.#whenNone.push(resolve);
    });
  }

  /** So many more answers are owed. */
  count(change: number): void {
    this.#open += change;
    if (this.#open > 0) return;
    for (const resolve of this.#whenNone) resolve();
    this.#whenNone = [];
  }
}

/**
 * The requests of one connection, which may send several without waiting. They begin one after the other, in their order, and answers leave in that order too (Node's
 * queue sees to that). Once it is ending, nothing more of it is looked at; what has begun is answered first (RFC 9112 section 9.3.2).
 */
export class Connection {
  readonly #socket: Socket;
  readonly #inbound: Inbound;
  readonly #all: Connections;
  /** Not begun. */
  #waiting: Owed[] = [];
  /** Begun and not answered. */
  readonly #begun = new Set<Owed>();
  #newest: Owed | undefined;
  #isTurn = false;
  #isHeld = false;
  #isEnding = false;
  #last: (() => void) | undefined;

  constructor(socket: Socket, inbound: Inbound, all: Connections) {
    inbound.came(CONNECTION_COST);
    this.#socket = socket;
    this.#inbound = inbound;
    this.#all = all;
  }

  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** Too much of it is open: it is not to be read. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Whether it owes an answer. */
  get isOpen(): boolean {
    return this.#size > 0;
  }

  /** Whether others wait, or are being served, before one that comes now. */
  get isBusy(): boolean {
    return this.#isTurn || this.#waiting.length > 0;
  }

  /** Whether the answer to `owed` is the last word on the connection once it ends. */
  isLast(owed: Owed): boolean {
    return this.#newest === owed && this.#last === undefined;
  }

  /** Whether nothing else is owed or waits for its turn. False where the client has gone. */
  isOnly(owed: Owed): boolean {
    return this.isAlone(owed) && this.#waiting.length === 0;
  }

  /** Whether nothing else is owed. False where the client has gone. */
  isAlone(owed: Owed): boolean {
    return this.#begun.size === 1 && this.#begun.has(owed) && !this.#isEnding;
  }

  /** Serves it in its turn. False, and not taken, where the process's bound is met. */
  take(owed: Owed): boolean {
    if (!this.#inbound.take(REQUEST_COST)) return false;
    this.#all.count(1);
    this.#waiting.push(owed);
    if (!this.#isHeld && this.#size >= MAX_OPEN) {
      this.#isHeld = true;
      this.#socket.pause();
    }
    this.#go();
    return true;
  }

  /** Somebody else answers `owed`, the only one, and has the connection from now on. */
  handOver(owed: Owed): void {
    this.#isEnding = true;
    this.#begun.delete(owed);
    this.#newest = undefined;
    this.#release(1);
    this.#dropWaiting();
    this.#all.forget(this.#socket);
  }

  /** Its answer has left. */
  answered(owed: Owed): void {
    if (!this.#begun.delete(owed)) return;
    this.#release(1);
    if (this.#isEnding && this.#begun.size === 0) this.#finish();
    if (!this.#isHeld || this.#size > MAX_OPEN / 2) return;
    this.#isHeld = false;
    this.#socket.resume();
  }

  /** Looks at nothing more; the connection ends when what has begun is answered, with `last` where there is one. A second call changes nothing. */
  end(last?: () => void): void {
    if (!this.#isEnding) this.#end(last);
  }

  /** What comes next cannot be read: as {@link end}, and the request that was just coming is not waited for. */
  fail(last?: () => void): void {
    const newest = this.#newest;
    if (newest !== undefined && !newest.isWhole && this.#begun.delete(newest)) {
      newest.drop();
      this.#release(1);
    }
    this.end(last);
  }

  /** As {@link end}, with `last` in the place of the answer to `owed`, the newest. */
  endWith(owed: Owed, last: () => void): void {
    if (!this.#begun.delete(owed)) return;
    this.#release(1);
    this.#end(last);
  }

  /** Node's parser resumes its socket behind each message that it has read. */
  readonly onResume = (): void => {
    if (this.#isHeld) this.#socket.pause();
  };

  /** There is nobody to answer any more. */
  readonly onClose = (): void => {
    this.#all.forget(this.#socket);
    this.#isEnding = true;
    this.#last = undefined;
    this.#release(this.#begun.size);
    this.#begun.clear();
    this.#dropWaiting();
  };

  get #size(): number {
    return this.#waiting.length + this.#begun.size;
  }

  #end(last: (() => void) | undefined): void {
    this.#isEnding = true;
    this.#isHeld = false;
    this.#last = last;
    this.#dropWaiting();
    if (this.#begun.size === 0) this.#finish();
  }

  #finish(): void {
    if (this.#last === undefined) endSocket(this.#socket);
    else this.#last();
  }

  #go(): void {
    if (this.#isTurn || this.#isEnding) return;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#begun.add(next);
    this.#newest = next;
    this.#isTurn = true;
    void next.begin().then(() => {
      this.#isTurn = false;
      this.#go();
    });
  }

  #dropWaiting(): void {
    for (const owed of this.#waiting) owed.drop();
    this.#release(this.#waiting.length);
    this.#waiting = [];
  }

  #release(requests: number): void {
    this.#inbound.give(requests * REQUEST_COST);
    if (requests > 0) this.#all.count(-requests);
  }
}
