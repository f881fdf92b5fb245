import type { Content, MessageFrame } from './frames.ts';

/** A message of a room. */
export class Message<T = unknown> {
  readonly room: string;
  /** Where it stands in the room's history; undefined where the room has none. */
  readonly position: string | undefined;
  readonly #content: Content;

  constructor(frame: MessageFrame) {
    this.room = frame.room;
    this.position = frame.position;
    this.#content = frame;
  }

  /** The value where the payload is JSON, else its text, else its bytes. */
  get data(): T {
    const { data, text, base64 } = this.#content;
    return (base64 === undefined ? (text ?? data) : this.bytes) as T;
  }

  /** The payload as text; JSON as JavaScript writes it. Bytes that are no text show as U+FFFD. */
  get text(): string {
    const { data, text, base64 } = this.#content;
    return base64 === undefined ? (text ?? JSON.stringify(data)) : new TextDecoder().decode(this.bytes);
  }

  get bytes(): Uint8Array {
    const { base64 } = this.#content;
    return base64 === undefined ? new TextEncoder().encode(this.text) : Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  }
}

/** Bytes stay bytes; anything else is published as the JSON that it makes. Throws a TypeError for what makes none. */
export function contentOf(value: unknown): Content {
  if (value instanceof Uint8Array) return { base64: btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join('')) };
  if (JSON.stringify(value) === undefined) throw new TypeError('not JSON');
  return { data: value };
}
