import type { SessionTransport } from '../../src/counters.ts';
import type { End } from '../../src/errors.ts';
import type { Framing, Link } from '../../src/session/link.ts';
import { WEBSOCKET_FRAMING } from '../../src/transports/websocket/frames.ts';

/** A wire whose kernel takes as much as the test says. */
export class FakeLink implements Link {
  readonly kind: SessionTransport = 'websocket';
  readonly framing: Framing = WEBSOCKET_FRAMING;
  readonly address = '192.0.2.1';
  /** Everything written, and what of it the kernel has. */
  written: Uint8Array[] = [];
  writes = 0;
  queued = 0;
  closedWith: number | undefined;
  isDestroyed = false;
  isPaused = false;
  isBehind = false;
  /** Bytes that the kernel takes before it is full. */
  room = Infinity;
  /** What the pings asked for. */
  readonly tokens: number[] = [];
  /** Called when the close frame is written. */
  onClose: (code: number) => void = () => undefined;
  #isCorked = false;
  #drained: (() => void)[] = [];

  get isFull(): boolean {
    return this.queued > 0;
  }

  get writable(): boolean {
    return this.closedWith === undefined && !this.isDestroyed;
  }

  write(frames: Uint8Array): void {
    if (!this.writable) throw new Error('written after the close');
    this.written.push(frames);
    if (!this.#isCorked) this.writes += 1;
    this.queued += frames.length;
    if (!this.#isCorked) this.take(0);
  }

  cork(): void {
    this.#isCorked = true;
  }

  uncork(): void {
    this.#isCorked = false;
    this.writes += 1;
    this.take(0);
  }

  /** The kernel takes `bytes` more than it would by itself. */
  take(bytes: number): void {
    this.room += bytes;
    const taken = Math.min(this.room, this.queued);
    this.room -= taken;
    this.queued -= taken;
    if (this.queued > 0) return;
    const drained = this.#drained;
    this.#drained = [];
    for (const tell of drained) tell();
  }

  onceDrained(tell: () => void): void {
    if (this.queued === 0) tell();
    else this.#drained.push(tell);
  }

  probe(token: number): Uint8Array {
    this.tokens.push(token);
    return Buffer.from([0x89, 0]);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end({ code }: End): void {
    this.closedWith ??= code;
    this.onClose(code);
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  /** The text of every text frame written, in order. */
  texts(): string[] {
    const bytes = Buffer.concat(this.written);
    const texts: string[] = [];
    for (let at = 0; at < bytes.length;) {
      const short = (bytes[at + 1] ?? 0) & 0x7f;
      const head = short === 126 ? 4 : short === 127 ? 10 : 2;
      const length = short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short;
      if (bytes[at] === 0x81) texts.push(bytes.subarray(at + head, at + head + length).toString());
      at += head + length;
    }
    return texts;
  }
}
