import { Buffer } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Answer } from '../answer.ts';
import type { OpsApi, OpsReply, OpsStream } from './call.ts';
import { opsRefusal } from './errors.ts';
import { OpsKey } from './key.ts';
import { traceparentOf } from '../routes/request.ts';

/** Calls that are answered at a time; streams do not count once they have begun. */
const MOST_CALLS = 64;
/** And so many wait for their turn; past it they are refused. */
const MOST_WAITING_CALLS = 4096;
/** Bytes of a body: a payload, its envelope, and the names of a thousand rooms. */
const MOST_BODY = 1024 * 1024;
/** Bytes of all bodies that are held. */
const MOST_BODIES = 64 * MOST_BODY;
/** Bytes that wait for the reader of a stream before it is behind. */
const MOST_UNSENT = 1024 * 1024;

/** The operator's API as HTTP: who may ask, how much at a time, and how an answer leaves. What is asked is for an {@link OpsApi}. */
export class ApiPort {
  readonly #key: OpsKey;
  #calls = 0;
  readonly #waiting: (() => void)[] = [];
  #held = 0;

  constructor(key: string) {
    this.#key = new OpsKey(key);
  }

  /** Whether it answers this path. */
  has(path: string): boolean {
    return path === '/api' || path.startsWith('/api/');
  }

  async serve(request: IncomingMessage, response: ServerResponse, api: OpsApi): Promise<void> {
    const [path, query] = splitAt(request.url ?? '', '?');
    if (this.#key.isInQuery(new URLSearchParams(query))) return refuse(request, response, opsRefusal('key_in_query'));
    if (!this.#key.isIn(request.headers.authorization)) return refuse(request, response, opsRefusal('unauthorized'));
    const body = new OpsBody();
    try {
      const refused = await this.#read(request, body);
      if (refused !== undefined) return refuse(request, response, opsRefusal(refused));
      const reply = await this.#inTurn(() =>
        api.answer({ method: request.method ?? '', path, query, body: body.bytes, traceparent: traceparentOf(request.headers) }),
      );
      send(response, reply);
    } finally {
      this.#held -= body.length;
    }
  }

  /** Whole before it has a turn, so that one that never ends takes none; the rest of one that is refused is for {@link refuse}. Rejects where the client goes before the end. */
  async #read(request: IncomingMessage, body: OpsBody): Promise<'body_too_large' | 'full' | undefined> {
    for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      body.add(piece);
      this.#held += piece.length;
      if (body.length > MOST_BODY) return 'body_too_large';
      if (this.#held > MOST_BODIES) return 'full';
    }
    return this.#waiting.length >= MOST_WAITING_CALLS ? 'full' : undefined;
  }

  async #inTurn(work: () => Promise<OpsReply>): Promise<OpsReply> {
    await this.#turn();
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#calls -= 1;
      else next();
    }
  }

  /** Who has had a turn hands it on. */
  async #turn(): Promise<void> {
    if (this.#calls >= MOST_CALLS) return await new Promise((resolve) => void this.#waiting.push(resolve));
    this.#calls += 1;
  }
}

/** What comes behind a refusal is not looked at. */
function refuse(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  response.shouldKeepAlive = false;
  request.resume();
  send(response, answer);
}

class OpsBody {
  readonly #pieces: Buffer[] = [];
  length = 0;

  get bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  add(piece: Buffer): void {
    this.#pieces.push(piece);
    this.length += piece.length;
  }
}

function send(response: ServerResponse, reply: OpsReply): void {
  response.writeHead(reply.status, { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff', ...reply.headers });
  if (reply.body !== undefined) response.end(reply.body);
  else stream(response, reply);
}

function stream(response: ServerResponse, reply: OpsStream): void {
  response.flushHeaders();
  const stop = reply.begin({
    write: (text, taken) => {
      if (response.writableLength > MOST_UNSENT || response.destroyed) return false;
      response.write(text, taken);
      return true;
    },
    end: () => response.end(),
  });
  response.once('close', stop);
}

function splitAt(text: string, mark: string): [before: string, after: string] {
  const at = text.indexOf(mark);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
