import { Buffer } from 'node:buffer';
import type { Answer } from '../../answer.ts';
import type { Header } from './reply.ts';

/** Bytes of such an answer: longer ones are sent in pieces. */
const MAX_BODY = 1_048_576;

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

  /** Whether the answer is whole with this. */
  add(body: Uint8Array, more: boolean): boolean | 'too_large' {
    if (this.#length + body.length > MAX_BODY) return 'too_large';
    this.#body.push(body);
    this.#length += body.length;
    return !more;
  }

  answer(): Answer {
    return {
      status: this.#status,
      headers: { ...headersOf(this.#headers), 'content-length': String(this.#length) },
      body: Buffer.concat(this.#body, this.#length),
    };
  }
}

/** Repeated ones side by side: those of cookies cannot be joined. */
export function headersOf(headers: readonly Header[]): Answer['headers'] {
  const all: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    const known = all[name];
    all[name] = known === undefined ? value : [...(typeof known === 'string' ? [known] : known), value];
  }
  return all;
}
