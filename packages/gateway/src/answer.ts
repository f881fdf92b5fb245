import { Buffer } from 'node:buffer';

/** A whole HTTP answer. */
export interface Answer {
  readonly status: number;
  /** `Content-Length` among them. Several of one name stand side by side. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer;
}

/** An answer whose body is sent as it comes. Where its pieces fail it stays unfinished, and the client can tell. */
export interface StreamedAnswer {
  readonly status: number;
  readonly headers: Answer['headers'];
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** JSON and a line feed, so that a terminal shows it well. */
export function jsonAnswer(status: number, value: object): Answer {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  return { status, headers: { 'Content-Type': 'application/json', 'Content-Length': String(body.length) }, body };
}
