import { Buffer } from 'node:buffer';
import type { OpsApi, OpsCall, OpsReader, OpsReply } from '../ops/call.ts';
import { opsRefusal } from '../ops/errors.ts';

/** Of one stream so many bytes may be on their way to its reader before that is behind. */
const MOST_UNTAKEN = 512 * 1024;

/** What the supervisor says of calls of the ops API: it hands them to a worker, and tells what has become of its answer. */
export type CallOrder =
  | { readonly type: 'call'; readonly id: number; readonly call: OpsCall }
  /** So many bytes of a stream have left. */
  | { readonly type: 'taken'; readonly id: number; readonly bytes: number }
  | { readonly type: 'hang-up'; readonly id: number };

/** What the worker says. A reply without a body is a stream, whose pieces follow. */
export type CallWord =
  | {
      readonly type: 'reply';
      readonly id: number;
      readonly status: number;
      readonly headers: Readonly<Record<string, string | string[]>>;
      readonly body?: Uint8Array;
    }
  | { readonly type: 'piece'; readonly id: number; readonly text: string }
  | { readonly type: 'end'; readonly id: number };

/** The supervisor's side: calls that a worker has been given. */
export class GivenCalls {
  readonly #say: (order: CallOrder) => void;
  readonly #open = new Map<number, (reply: OpsReply) => void>();
  readonly #readers = new Map<number, OpsReader>();
  #calls = 0;

  constructor(say: (order: CallOrder) => void) {
    this.#say = say;
  }

  give(call: OpsCall): Promise<OpsReply> {
    const { promise, resolve } = Promise.withResolvers<OpsReply>();
    const id = (this.#calls += 1);
    this.#open.set(id, resolve);
    this.#say({ type: 'call', id, call });
    return promise;
  }

  hear(word: CallWord): void {
    switch (word.type) {
      case 'reply':
        return this.#reply(word);
      case 'piece':
        return this.#pass(word.id, word.text);
      case 'end':
        this.#readers.get(word.id)?.end();
    }
  }

  /** The worker has gone. */
  end(): void {
    for (const resolve of this.#open.values()) resolve(opsRefusal('no_worker'));
    for (const reader of this.#readers.values()) reader.end();
    this.#open.clear();
    this.#readers.clear();
  }

  #reply({ id, status, headers, body }: Extract<CallWord, { type: 'reply' }>): void {
    const resolve = this.#open.get(id);
    this.#open.delete(id);
    if (body !== undefined) return resolve?.({ status, headers, body: Buffer.from(body.buffer, body.byteOffset, body.byteLength) });
    resolve?.({ status, headers: headers as Readonly<Record<string, string>>, begin: (reader) => this.#begin(id, reader) });
  }

  #begin(id: number, reader: OpsReader): () => void {
    this.#readers.set(id, reader);
    this.#say({ type: 'taken', id, bytes: 0 });
    return () => {
      this.#readers.delete(id);
      this.#say({ type: 'hang-up', id });
    };
  }

  #pass(id: number, text: string): void {
    const taken = (): void => this.#say({ type: 'taken', id, bytes: text.length });
    if (this.#readers.get(id)?.write(text, taken) !== true) taken();
  }
}

/** The worker's side: calls that it answers. */
export class TakenCalls {
  readonly #say: (word: CallWord) => void;
  readonly #streams = new Map<number, Stream>();

  constructor(say: (word: CallWord) => void) {
    this.#say = say;
  }

  hear(order: CallOrder, api: OpsApi | undefined): void {
    if (order.type === 'call') void this.#answer(order.id, order.call, api);
    else if (order.type === 'taken') this.#streams.get(order.id)?.taken(order.bytes);
    else this.#hangUp(order.id);
  }

  async #answer(id: number, call: OpsCall, api: OpsApi | undefined): Promise<void> {
    const reply = api === undefined ? opsRefusal('no_worker') : await api.answer(call);
    const { status, headers } = reply;
    if (reply.body !== undefined) return this.#say({ type: 'reply', id, status, headers, body: reply.body });
    this.#streams.set(id, new Stream(id, this.#say, (reader) => reply.begin(reader)));
    this.#say({ type: 'reply', id, status, headers });
  }

  #hangUp(id: number): void {
    this.#streams.get(id)?.stop();
    this.#streams.delete(id);
  }
}

/** A stream whose reader is at the supervisor. */
class Stream implements OpsReader {
  readonly #id: number;
  readonly #say: (word: CallWord) => void;
  readonly #begin: (reader: OpsReader) => () => void;
  #untaken = 0;
  #stop: (() => void) | undefined;

  constructor(id: number, say: (word: CallWord) => void, begin: (reader: OpsReader) => () => void) {
    this.#id = id;
    this.#say = say;
    this.#begin = begin;
  }

  write(text: string): boolean {
    if (this.#untaken > MOST_UNTAKEN) return false;
    this.#untaken += text.length;
    this.#say({ type: 'piece', id: this.#id, text });
    return true;
  }

  end(): void {
    this.#say({ type: 'end', id: this.#id });
  }

  /** With the first word of it the reader is there. */
  taken(bytes: number): void {
    this.#untaken -= bytes;
    this.#stop ??= this.#begin(this);
  }

  stop(): void {
    this.#stop?.();
  }
}
