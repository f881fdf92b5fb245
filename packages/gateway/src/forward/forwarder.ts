import type { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import { type ChannelLayer, isLayerError, type Listening, type Value } from '@busgate/layer';
import type { Log } from '../log.ts';
import { done, type ForwardFailure, givenUp, isAwaited, judge, type AnswerVerdict } from './answers.ts';
import { type ForwardedEvent, readEvent } from './event.ts';
import { Poster } from './poster.ts';
import type { Answered } from '../outgoing.ts';
import { nextWait, readRetryAfter } from './retries.ts';
import { keyOf, signedHeaders } from './signing.ts';

/** A disconnect is tried for so long, in milliseconds: nobody waits for it. */
const DISCONNECT_MS = 300_000;
/** Bytes of events that are under way. */
const MAX_BYTES = 16_777_216;
/** What is under way when it is closed may take so much longer, in milliseconds. */
const CLOSING_MS = 1000;
/** What was answered while the broker was away is handed on so often until it is back, in milliseconds. */
const AGAIN_MS = 100;
/** A line on what failed is logged this often for each reason, in milliseconds. */
const LOG_EVERY_MS = 60_000;

/** Where events are posted. Times in milliseconds. */
export interface Forwarding {
  readonly queue: string;
  /** Of http or https. */
  readonly url: string;
  /** None, one, or two during a rotation. */
  readonly secrets: readonly string[];
  /** Events that are under way at a time. */
  readonly concurrency: number;
  readonly acceptTimeout: number;
  readonly handlerTimeout: number;
}

export interface ForwarderContext {
  readonly layer: Pick<ChannelLayer, 'listen' | 'send'>;
  readonly log: Log;
  /** An event was not handled by its backend. */
  readonly failed: (failure: ForwardFailure) => void;
}

/** Reads a queue, posts every event to a URL, signed, and hands what the backend answers to the session. */
export class Forwarder {
  readonly #forwarding: Forwarding;
  readonly #context: ForwarderContext;
  readonly #keys: readonly Buffer[];
  readonly #poster: Poster;
  readonly #listening: Listening;
  readonly #underWay = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #cutOff = new AbortController();
  readonly #loggedAt = new Map<ForwardFailure, number>();

  constructor(forwarding: Forwarding, context: ForwarderContext) {
    this.#forwarding = forwarding;
    this.#context = context;
    this.#keys = forwarding.secrets.flatMap((secret) => keyOf(secret) ?? []);
    this.#poster = new Poster(forwarding.url, forwarding.concurrency);
    const credit = { messages: forwarding.concurrency, bytes: MAX_BYTES };
    this.#listening = context.layer.listen(forwarding.queue, (payload) => this.#take(payload), credit);
  }

  /** Takes nothing more and tries nothing again; what is under way has a second. What was not taken stays in its queue. */
  async close(): Promise<void> {
    this.#closing.abort();
    const timer = setTimeout(() => this.#cutOff.abort(), CLOSING_MS);
    await this.#listening.close();
    await Promise.all(this.#underWay);
    clearTimeout(timer);
    await this.#poster.close();
  }

  async #take(payload: Uint8Array): Promise<void> {
    const event = readEvent(payload);
    if (event === undefined) return this.#failed('bad_event', 'a message of the queue is no event');
    const work = this.#forward(event);
    this.#underWay.add(work);
    await work;
    this.#underWay.delete(work);
  }

  async #forward(event: ForwardedEvent): Promise<void> {
    const verdict = await this.#deliver(event);
    const replies = verdict.replies ?? givenUp(event);
    // Of a session that is over nobody hears.
    if (event.type.endsWith('.disconnect')) return;
    try {
      await this.#reply(event, replies);
    } catch (error) {
      if (isLayerError(error, 'CHANNEL_GONE')) return;
      const isAnswer = isLayerError(error, 'MESSAGE_TOO_LARGE') || isLayerError(error, 'INVALID_MESSAGE');
      this.#failed(isLayerError(error, 'MESSAGE_TOO_LARGE') ? 'too_large' : isAnswer ? 'bad_answer' : 'layer', String(error));
      if (isAnswer) await this.#reply(event, givenUp(event)).catch((again: unknown) => this.#failed('layer', String(again)));
    }
  }

  /** In one message, or, where they are too many for one, in one each. */
  async #reply(event: ForwardedEvent, replies: readonly Value[]): Promise<void> {
    const all = [...replies, ...done(event)];
    try {
      await this.#say(event, all);
    } catch (error) {
      if (!isLayerError(error, 'MESSAGE_TOO_LARGE') || all.length === 1) throw error;
      for (const one of all) await this.#say(event, [one]);
    }
  }

  /** While the broker is away it is tried again, for as long as a gateway waits for an event: what its backend did is done. */
  async #say(event: ForwardedEvent, replies: readonly Value[]): Promise<void> {
    const ends = performance.now() + this.#timeOf(event);
    for (;;) {
      try {
        return await this.#context.layer.send(event.replyChannel, { replies });
      } catch (error) {
        const mayPass = isLayerError(error, 'LAYER_AWAY') && performance.now() < ends;
        if (!mayPass || !(await this.#wait(AGAIN_MS, this.#cutOff.signal))) throw error;
      }
    }
  }

  /** Posts it, again where that may help, within its time. */
  async #deliver(event: ForwardedEvent): Promise<AnswerVerdict> {
    const ends = performance.now() + this.#timeOf(event);
    for (let attempts = 1; ; attempts += 1) {
      const posted = await this.#post(event, Math.min(ends - performance.now(), this.#forwarding.handlerTimeout));
      const verdict = judge(event, posted);
      if (verdict.failure === undefined) return verdict;
      const leftMs = ends - performance.now();
      const mayPass = verdict.passes && !isAwaited(event);
      const wait = mayPass ? nextWait({ attempts, leftMs, retryAfterMs: retryAfterOf(posted) }, Math.random()) : undefined;
      const waited = wait !== undefined && (await this.#wait(wait, this.#closing.signal));
      if (waited) continue;
      this.#failed(verdict.failure, posted.failure === undefined ? `the status is ${posted.status}` : String(posted.error));
      return verdict;
    }
  }

  #post(event: ForwardedEvent, timeoutMs: number): Promise<Answered> {
    const headers = signedHeaders(event.id, Math.floor(Date.now() / 1000), event.body, this.#keys);
    const traced = event.traceparent === undefined ? headers : { ...headers, traceparent: event.traceparent };
    return this.#poster.post(event.body, traced, Math.max(1, Math.ceil(timeoutMs)), this.#cutOff.signal);
  }

  /** False where it was closed meanwhile. */
  #wait(ms: number, signal: AbortSignal): Promise<boolean> {
    return delay(ms, true, { signal }).catch(() => false);
  }

  #timeOf({ type }: ForwardedEvent): number {
    if (type === 'websocket.disconnect') return DISCONNECT_MS;
    return type === 'websocket.connect' ? this.#forwarding.acceptTimeout : this.#forwarding.handlerTimeout;
  }

  #failed(failure: ForwardFailure, message: string): void {
    const { failed, log } = this.#context;
    failed(failure);
    const now = performance.now();
    if (now - (this.#loggedAt.get(failure) ?? -Infinity) < LOG_EVERY_MS) return;
    this.#loggedAt.set(failure, now);
    log.warn('a backend did not handle an event', { queue: this.#forwarding.queue, reason: failure, message });
  }
}

function retryAfterOf(posted: Answered): number | undefined {
  if (posted.failure !== undefined) return undefined;
  return readRetryAfter(posted.headers.find(([name]) => name === 'retry-after')?.[1], Date.now());
}
