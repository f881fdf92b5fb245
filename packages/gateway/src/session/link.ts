import type { SessionTransport } from '../counters.ts';
import type { End } from '../errors.ts';

/** What is told by a name of its own on wires that name what they carry. */
export type EventName = 'welcome' | 'gap' | 'missed' | 'reconnect';

/** One message as its route wants it on the wire, before any wire has framed it. */
export interface Sheet {
  /** Whether the bytes are to be told apart from text where the wire can do so. */
  readonly binary: boolean;
  /** The payload's bytes, in order; spliced rather than copied together. */
  readonly parts: readonly Uint8Array[];
  /** All parts together. */
  readonly length: number;
  /** Where the message stands in its room's history, or the session once it has it, for wires that say so beside it; undefined where it has no place, or says it itself. */
  readonly position: string | undefined;
  /** What wires that name their events say instead of the bytes. */
  readonly named?: { readonly event: EventName; readonly data: string };
}

/** How a kind of wire frames a message. Stateless and one object a kind: sessions with the same framing share their frames. */
export interface Framing {
  /** Bytes that `sheet` takes on the wire. */
  measure(sheet: Sheet): number;
  /** Writes the whole frame into `target` at `offset`; answers where it ends. */
  put(target: Buffer, offset: number, sheet: Sheet): number;
  /** What tells a client where it stands, so that it can go on from there elsewhere; only on wires that have room for it beside the messages. */
  mark?(cursor: string): Uint8Array;
}

/** What a route chose to say in the answer that begins a session. */
export interface Greeting {
  /** One of those that the client offered. */
  readonly subprotocol: string | undefined;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** The wire under a session just now, and all that a session needs of it. */
export interface Link {
  readonly kind: SessionTransport;
  readonly framing: Framing;
  /** Of the peer. */
  readonly address: string;
  /** False from the moment on that nothing more may follow. */
  readonly writable: boolean;
  /** Bytes written and not yet handed to the kernel. */
  readonly queued: number;
  /** More than a little of that waits. */
  readonly isFull: boolean;
  /** Whole frames. The bytes are shared with other sessions and stay as they are. */
  write(frames: Uint8Array): void;
  /** Between these, what is written leaves together. */
  cork(): void;
  uncork(): void;
  /** Calls `tell` in a later turn of the loop, when little of what was written still waits for the kernel; never where the link ends before. */
  onceDrained(tell: () => void): void;
  /** What asks the peer for a sign of life. The link tells the session `token` as the answer to it; where a peer cannot answer, at once. */
  probe(token: number): Uint8Array;
  /** Stops and resumes reading, so that a peer that sends faster than it is served waits. */
  pause(): void;
  resume(): void;
  /** Something that the peer sent was not looked at yet, so that its silence says nothing. */
  readonly isBehind: boolean;
  /** What was written leaves first, then the reason as this wire tells it; a peer that does not answer is cut off after 5 s. */
  end(end: End): void;
  /** Cut off before everything had left: {@link queued} says nothing any more. */
  readonly isDestroyed: boolean;
  /** At once, without a word. */
  destroy(): void;
}

/** A whole frame of its own. */
export function frameOf(framing: Framing, sheet: Sheet): Buffer {
  return framesOf(framing, [sheet]);
}

/** Whole frames, one behind the other. */
export function framesOf(framing: Framing, sheets: readonly Sheet[]): Buffer {
  let length = 0;
  for (const sheet of sheets) length += framing.measure(sheet);
  const frames = Buffer.allocUnsafe(length);
  let at = 0;
  for (const sheet of sheets) at = framing.put(frames, at, sheet);
  return frames;
}

/** What only wires that name their events can say. */
export function eventSheet(event: EventName, data: object, position?: string): Sheet {
  return { ...textSheet('', position), named: { event, data: JSON.stringify(data) } };
}

/** Text as one message. */
export function textSheet(text: string, position?: string): Sheet {
  const bytes = Buffer.from(text);
  return { binary: false, parts: [bytes], length: bytes.length, position };
}
