import type { PublishFrame } from '../frames.ts';
import type { Emit, Senses } from './actions.ts';

/** How long a publish may take, from the call to the gateway's answer, in milliseconds. */
const PUBLISH_MS = 10_000;
/** A wire that is full says nothing when it is no longer: it is looked at again after so many milliseconds. */
const LOOK_MS = 20;
/** Refusals after which the same publish may be sent again, where it cannot double, and how much later, in milliseconds. */
const PASSING = /^(away|unknown|rate|full)$/;
const AGAIN_MS = 500;
/** A frame that is shorter is not why a link was closed with 1009. */
const LARGE = 32_768;

/** How a publish ended: with a code where it failed. */
export type Done = (failure: { readonly code: string; readonly message?: string | undefined } | undefined, position?: string) => void;

interface PendingPublish {
  readonly frame: PublishFrame;
  readonly done: Done;
  /** Bytes on the wire, roughly. */
  readonly size: number;
  readonly until: number;
  /** The link it was sent on. */
  link?: number;
  /** Whether a gateway may have published it. */
  mayBeDone?: boolean;
}

/** What the program has published and no gateway has answered: sent in order, never twice without a key, and bounded. */
export class Publishes {
  /** In the order of the calls. */
  #unsent: PendingPublish[] = [];
  readonly #sent = new Map<number | undefined, PendingPublish>();
  readonly #emit: Emit;
  readonly #senses: Senses;
  readonly #limit: number;
  /** Bytes that are not on a wire. */
  #held = 0;
  /** When a flush may send more. */
  flushAt = Infinity;

  /** `limit` in bytes: of what a wire holds, and of what waits for it. */
  constructor(emit: Emit, senses: Senses, limit: number) {
    this.#emit = emit;
    this.#senses = senses;
    this.#limit = limit;
  }

  /** When the oldest one has taken too long. */
  get giveUpAt(): number {
    const [oldest] = this.#sent.values();
    return Math.min(oldest?.until ?? Infinity, this.#unsent[0]?.until ?? Infinity);
  }

  add(frame: PublishFrame, done: Done): void {
    const size = JSON.stringify(frame).length;
    if (this.#held + size > this.#limit) return done({ code: 'full' });
    this.#held += size;
    this.#unsent.push({ frame, done, size, until: this.#senses.now() + PUBLISH_MS });
  }

  /** Sends what the link has room for, unless it is too early to. */
  flush(link: number): void {
    const now = this.#senses.now();
    if (this.flushAt < Infinity && this.flushAt > now) return;
    this.flushAt = Infinity;
    const frames: PublishFrame[] = [];
    let taken = this.#senses.buffered(link);
    for (const outgoing of this.#unsent) {
      if (taken > 0 && taken + outgoing.size > this.#limit) {
        this.flushAt = now + LOOK_MS;
        break;
      }
      taken += outgoing.size;
      this.#held -= outgoing.size;
      outgoing.link = link;
      outgoing.mayBeDone = true;
      this.#sent.set(outgoing.frame.ref, outgoing);
      frames.push(outgoing.frame);
    }
    this.#unsent.splice(0, frames.length);
    if (frames.length > 0) this.#emit('send', link, frames);
  }

  /** Whether nothing is unanswered on a link. */
  isSettled(link: number): boolean {
    return ![...this.#sent.values()].some((outgoing) => outgoing.link === link);
  }

  published(ref: number | undefined, position: string | undefined): void {
    this.#sent.get(ref)?.done(undefined, position);
    this.#sent.delete(ref);
  }

  failed(ref: number | undefined, code: string, message: string | undefined): void {
    const outgoing = this.#sent.get(ref);
    if (outgoing === undefined) return;
    this.#sent.delete(ref);
    outgoing.mayBeDone = code === 'unknown';
    if (outgoing.frame.id !== undefined && PASSING.test(code)) this.#hold([outgoing], this.#senses.now() + AGAIN_MS);
    else outgoing.done({ code, message });
  }

  /** What was sent on it and has a key is sent again; of the rest nobody knows. */
  linkEnded(link: number, closeCode: number | undefined): void {
    const again: PendingPublish[] = [];
    for (const [ref, outgoing] of this.#sent) {
      if (outgoing.link !== link) continue;
      this.#sent.delete(ref);
      if (closeCode === 1009 && outgoing.size > LARGE) outgoing.done({ code: 'too_large' });
      else if (outgoing.frame.id === undefined) outgoing.done({ code: 'unknown' });
      else again.push(outgoing);
    }
    this.#hold(again, this.flushAt);
  }

  /** Gives up what has taken too long at this time: `away` where it was never sent. */
  giveUp(now: number, code = 'away'): void {
    const over = ({ until }: PendingPublish): boolean => until <= now;
    for (const outgoing of [...this.#sent.values(), ...this.#unsent].filter(over)) {
      if (!this.#sent.delete(outgoing.frame.ref)) this.#held -= outgoing.size;
      outgoing.done({ code: outgoing.mayBeDone ? 'unknown' : code });
    }
    this.#unsent = this.#unsent.filter((outgoing) => !over(outgoing));
  }

  /** They go before whatever was published after them. */
  #hold(outgoing: readonly PendingPublish[], flushAt: number): void {
    for (const { size } of outgoing) this.#held += size;
    this.#unsent.push(...outgoing);
    this.#unsent.sort((one, other) => one.frame.ref - other.frame.ref);
    this.flushAt = flushAt;
  }
}
