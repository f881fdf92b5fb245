/** An event as it is dispatched. */
export interface StreamEvent {
  /** `message` where the stream names none. */
  readonly type: string;
  readonly data: string;
}

/** Reads an event stream (WHATWG HTML, 9.2.6) in pieces that may end anywhere. */
export class StreamParser {
  /** The last event id, which a block without data sets too. */
  id = '';
  /** The reconnection time in milliseconds, where the stream said one. */
  retry: number | undefined;
  /** A byte order mark at the beginning is no part of the text. */
  readonly #decoder = new TextDecoder();
  #rest = '';
  #type = '';
  #data: string[] = [];
  #id = '';

  /** The events that are complete with this piece. */
  feed(bytes: Uint8Array<ArrayBuffer>): StreamEvent[] {
    // A CR at the end waits for the LF that may follow it.
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() as string;
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line: string): StreamEvent[] {
    const [, name, value] = /^([^:]*):? ?(.*)/s.exec(line) as unknown as [string, string, string];
    if (line === '') return this.#dispatch();
    if (name === 'data') this.#data.push(value);
    if (name === 'event') this.#type = value;
    if (name === 'id' && !value.includes('\0')) this.#id = value;
    if (name === 'retry' && /^\d+$/.test(value)) this.retry = Number(value);
    return [];
  }

  #dispatch(): StreamEvent[] {
    const events = this.#data.length === 0 ? [] : [{ type: this.#type || 'message', data: this.#data.join('\n') }];
    this.id = this.#id;
    this.#data = [];
    this.#type = '';
    return events;
  }
}
