import { Buffer } from 'node:buffer';
import type { Answer } from '../../answer.ts';
import type { Header } from './reply.ts';

/** Bytes of such an answer: longer ones are sent in pieces. */
const MAX_BODY = 1_048_576;

/** Statuses whose answers have neither a body nor its length (RFC 9110 section 8.6). */
const HAS_NO_BODY: ReadonlySet<number> = new Set([204, 304]);

/** An answer of a worker that is sent whole, as it comes: of a plain request, or one that refuses a socket. */
export class WholeAnswer {
  readonly #status: number;
  readonly #headers: readonly Header[];
  readonly #body: Uint8Array[] = [];
  #length = 0;

  constructor(status: number, headers: readonly Header[]) {
    this.#status = status;
    this.#headers = headers;
  }

  /** Whether the answer may have this piece of its body, too. */
  hasRoom(body: Uint8Array): boolean {
    return isSentWhole(this.#length + body.length);
  }

  /** Whether its status says that it is not the client's. */
  get isOurFault(): boolean {
    return this.#status >= 500;
  }

  add(body: Uint8Array): void {
    this.#body.push(body);
    this.#length += body.length;
  }

  answer(): Answer {
    const length = HAS_NO_BODY.has(this.#status) ? {} : { 'content-length': String(this.#length) };
    return { status: this.#status, headers: { ...headersOf(this.#headers), ...length }, body: Buffer.concat(this.#body, this.#length) };
  }
}

/** Whether a body of so many bytes may be sent whole. */
export function isSentWhole(bytes: number): boolean {
  return bytes <= MAX_BODY;
}

/** Repeated ones side by side: those of cookies cannot be joined. No trailer follows an answer, so that none is announced. */
export function headersOf(headers: readonly Header[]): Answer['headers'] {
  const all = new Map<string, string | string[]>();
  for (const [name, value] of headers) {
    if (name === 'trailer') continue;
    const known = all.get(name);
    all.set(name, known === undefined ? value : [...(typeof known === 'string' ? [known] : known), value]);
  }
  return Object.fromEntries(all);
}
