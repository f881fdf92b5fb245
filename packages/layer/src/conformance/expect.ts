import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { channel } from 'node:diagnostics_channel';
import { setTimeout as delay } from 'node:timers/promises';
import type { Message, RoomEvent, RoomListener } from '../contract.ts';
import { isLayerError, type LayerErrorCode } from '../errors.ts';
import type { ChannelLayer } from '../layer.ts';
import { withResolvers } from '../driver/resolvers.ts';

/** What has not come by then does not come. */
const PATIENCE_MS = 30_000;

/** Of what depends on how fast the machine is. */
const ATTEMPTS = 6;
/** Hears of each attempt but the first: whoever runs the suite may count them. */
const ATTEMPTED_AGAIN = channel('busgate:conformance:attempted-again');

/** The promise rejects with that code, and its message mentions what it should name. */
export async function rejects(promise: Promise<unknown>, code: LayerErrorCode | readonly LayerErrorCode[], ...mentions: readonly string[]): Promise<void> {
  const codes = typeof code === 'string' ? [code] : code;
  await assert.rejects(soon(promise, codes.join(' or ')), (error: unknown) => {
    assert.ok(isLayerError(error), `a LayerError ${codes.join(' or ')} is due, not ${String(error)}`);
    assert.ok(codes.includes(error.code), `${codes.join(' or ')} is due, not ${error.code}: ${error.message}`);
    for (const mention of mentions) assert.ok(error.message.includes(mention), `the message must name ${mention}: ${error.message}`);
    return true;
  });
}

/** Fails, saying what did not come, where the promise would keep the test waiting. */
export async function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  const stop = new AbortController();
  const late = delay(PATIENCE_MS, undefined, { signal: stop.signal }).then(() => assert.fail(`${what}: not within ${PATIENCE_MS} ms`));
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
    late.catch(() => undefined);
  }
}

/** Waits for what no event tells. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `${what}: not within ${PATIENCE_MS} ms`);
    await delay(2);
  }
}

/**
 * Attempts what shows something only where it is over within so many milliseconds from the moment that it marks; again, where it failed on a machine that was
 * too busy for that.
 */
export async function inTime(withinMs: number, attempt: (mark: () => void) => Promise<void>): Promise<void> {
  for (let left = ATTEMPTS; ; left -= 1) {
    let since = performance.now();
    try {
      return await attempt(() => (since = performance.now()));
    } catch (error) {
      if (left === 1 || performance.now() - since < withinMs) throw error;
      ATTEMPTED_AGAIN.publish(error);
    }
  }
}

/** A room's listener that remembers what it was given. */
export class Recorder {
  readonly events: RoomEvent[] = [];
  readonly listen: RoomListener;
  #wake: () => void = () => undefined;

  /** `then` is called after each event was remembered. */
  constructor(then: RoomListener = () => undefined) {
    this.listen = (event) => {
      this.events.push(event);
      this.#wake();
      then(event);
    };
  }

  /** Payloads as text, `GAP` for a gap. */
  get texts(): string[] {
    return this.events.map((event) => (event.gap === true ? 'GAP' : text(event.payload)));
  }

  get gaps(): number {
    return this.events.filter((event) => event.gap === true).length;
  }

  /** Until that many events came. */
  async count(wanted: number): Promise<void> {
    await this.#until(() => this.events.length >= wanted, `${wanted} events`);
  }

  /** Until a message with this payload came. */
  async seen(payload: string): Promise<void> {
    let looked = 0;
    const found = (): boolean => {
      for (; looked < this.events.length; looked += 1) {
        const event = this.events[looked];
        if (event?.payload !== undefined && text(event.payload) === payload) return true;
      }
      return false;
    };
    await this.#until(found, JSON.stringify(payload));
  }

  async #until(reached: () => boolean, what: string): Promise<void> {
    const { promise, resolve } = withResolvers<void>();
    this.#wake = () => {
      if (reached()) resolve();
    };
    this.#wake();
    await soon(promise, `${what} (there were ${this.events.length} events)`);
  }
}

/** Subscribes a new recorder to a room. */
export async function record(layer: ChannelLayer, room: string): Promise<Recorder> {
  const recorder = new Recorder();
  await layer.subscribe(room, recorder.listen);
  return recorder;
}

/** The next message of a channel. */
export async function next(layer: ChannelLayer, channel: string): Promise<Message> {
  return soon(layer.receive(channel), `a message on ${channel}`);
}

/** The next messages of a channel, one after the other. */
export async function take(layer: ChannelLayer, channel: string, count: number): Promise<Message[]> {
  const messages: Message[] = [];
  while (messages.length < count) messages.push(await next(layer, channel));
  return messages;
}

function text(payload: Uint8Array): string {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString();
}

export function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
}
