import { Buffer } from 'node:buffer';

/** A whole HTTP answer. */
export interface Answer {
  readonly status: number;
  /** `Content-Length` among them. Several of one name stand side by side. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer;
  /** Follows it on its way. */
  readonly sending?: Sending;
}

/** What somebody wants to know of an answer that is written. */
export interface Sending {
  /** It is being written; `cutOff` ends its connection at once. */
  begun(cutOff: () => void): void;
  /** Once, after that: all of it was handed to the kernel, or never will be. */
  ended(isSent: boolean): void;
}

/** An answer that is not there yet. */
export interface WaitingAnswer {
  /** `asker` is given the answer, at once or later. Called once, before the others. */
  begin(asker: { answer(answer: Answer): void }): void;
  /** It is answered now, with what there is. */
  hurry(): void;
  /** Whoever asked has gone: nothing is answered any more. */
  left(): void;
}

/** An answer whose body is sent as it comes. Where its pieces fail it stays unfinished, and the client can tell. */
export interface StreamedAnswer {
  readonly status: number;
  readonly headers: Answer['headers'];
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** JSON and a line feed, so that a terminal shows it well. */
export function jsonAnswer(status: number, value: object): Answer {
  return jsonTextAnswer(status, JSON.stringify(value));
}

/** The same of what is JSON already. */
export function jsonTextAnswer(status: number, text: string): Answer {
  const body = Buffer.from(`${text}\n`);
  return { status, headers: { 'Content-Type': 'application/json', 'Content-Length': String(body.length) }, body };
}
