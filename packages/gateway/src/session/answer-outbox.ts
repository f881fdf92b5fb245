import type { Sending } from '../answer.ts';
import { Outbox, type Outboxes, type OutboxOwner, type OutboxLink, type SlowReason } from './outbox.ts';

/** The messages of one HTTP answer pass an outbox as those of a session do: they are counted, and a client that does not read them is cut off. Somebody else writes them. */
export class AnswerOutbox implements Sending, OutboxLink, OutboxOwner {
  readonly writable = true;
  readonly isDestroyed = false;
  readonly isFull = false;
  queued = 0;
  readonly #body: Uint8Array;
  readonly #messages: number;
  readonly #outbox: Outbox;
  #cutOff: (() => void) | undefined;

  constructor(all: Outboxes, body: Uint8Array, messages: number) {
    this.#body = body;
    this.#messages = messages;
    this.#outbox = new Outbox(all, this, this);
  }

  begun(cutOff: () => void): void {
    this.#cutOff = cutOff;
    this.#outbox.write(this.#body, this.#messages);
  }

  ended(isSent: boolean): void {
    if (isSent) this.queued = 0;
    this.#outbox.gone();
  }

  write(body: Uint8Array): void {
    this.queued = body.length;
  }

  cork(): void {}

  uncork(): void {}

  /** It is whole from the beginning. */
  onceDrained(): void {}

  tooSlow(reason: SlowReason): void {
    this.#outbox.shut(reason);
    this.destroy();
  }

  destroy(): void {
    this.#cutOff?.();
  }
}
