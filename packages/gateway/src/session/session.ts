import { randomBytes } from 'node:crypto';
import { countClose } from '../counters.ts';
import { closeOf, type CloseKey } from '../errors.ts';
import type { Conversation, Feed } from './conversation.ts';
import type { Timed } from './deadlines.ts';
import { frameOf, type Link, type Sheet, textSheet } from './link.ts';
import { Outbox, type OutboxOwner } from './outbox.ts';
import type { Sessions } from './registry.ts';

/** Ticks and tokens stay below this, where numbers cost no memory of their own. */
const NEVER = 0x3fff_ffff;
/** A link that ended without a close frame (RFC 6455 section 7.1.5). */
const ABNORMAL = 1006;

/**
 * One client's conversation, whatever the wire. `open` until either side ends it, then `closing` while the last bytes leave, then `closed`.
 * Everything written to it passes its outbox; what the rooms hold for it leaves before any frame of its own.
 */
export class Session implements Timed, OutboxOwner {
  readonly link: Link;
  readonly outbox: Outbox;
  feed: Feed | undefined;
  dueTick = -1;
  wheelNext: Timed | undefined;
  wheelBack: Timed | undefined;
  /** Its place among all sessions; theirs to write. */
  place = -1;
  readonly #all: Sessions;
  readonly #conversation: Conversation;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #closeCode = 0;
  #id: string | undefined;
  /** When to ping, or to give up waiting for the answer. */
  #beatTick: number;
  /** What the last ping asked for; 0 when it has been answered. */
  #asked = 0;
  #messageTick = NEVER;

  /** `converse` makes what the session's frames go to, and may write to the session at once. */
  constructor(link: Link, all: Sessions, converse: (session: Session) => Conversation) {
    this.link = link;
    this.outbox = new Outbox(all.outboxes, link, this);
    this.#all = all;
    // The first one at any time of the interval's second half, so that those that came together are spread.
    this.#beatTick = all.deadlines.now + Math.ceil(all.intervalTicks * (0.5 + Math.random() / 2));
    all.add(this);
    all.deadlines.set(this, this.#beatTick);
    this.#conversation = converse(this);
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Unguessable, and the same for as long as the session lives. */
  get id(): string {
    this.#id ??= randomBytes(12).toString('base64url');
    return this.#id;
  }

  /** A whole message from the client. */
  receive(data: Buffer, binary: boolean): void {
    if (this.#state !== 'open') return;
    if (binary) this.#conversation.binary(data);
    else this.#conversation.text(data);
  }

  /** One text message of its own, after all that the rooms have for it. */
  send(text: string): void {
    this.sendAll([textSheet(text)], 0);
  }

  /** Messages of its own, `deliveries` of which are a room's. */
  sendAll(sheets: readonly Sheet[], deliveries: number): void {
    if (this.#state !== 'open') return;
    this.feed?.flush();
    const frames = sheets.map((sheet) => frameOf(this.link.framing, sheet));
    const [first] = frames;
    if (frames.length === 1 && first !== undefined) this.outbox.write(first, deliveries);
    else this.outbox.writeAll(frames, deliveries);
  }

  /** Tells the client that it will be closed, where its route has words for it. */
  announceDrain(afterMs: number): void {
    if (this.#state === 'open') this.#conversation.announceDrain(afterMs);
  }

  /** Ends it: what the rooms have for it leaves first, then the close frame, and nothing after. */
  close(key: CloseKey): void {
    const { code, reason } = closeOf(key);
    this.closing(code);
    this.link.close(code, reason);
  }

  /** Ends it at a gap: what came after the gap is not for it any more. */
  closeAtGap(): void {
    this.feed?.leave();
    this.feed = undefined;
    this.close('gap');
  }

  tooSlow(reason: 'slow' | 'total'): void {
    this.outbox.shut(reason);
    this.close('slow');
  }

  /** A close frame with this code is about to be written by either side's wish: the last moment to write anything else. Later calls do nothing. */
  closing(code: number): void {
    if (this.#state !== 'open') return;
    this.#closeCode = code;
    this.feed?.flush();
    // Its flush may have found the session too slow and ended it.
    if (this.#state !== 'open') return;
    this.#leave('closing');
  }

  /** The link is gone; `code` is what the peer's close frame said, where there was one. */
  gone(code: number): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'open') this.#leave('closing');
    this.#state = 'closed';
    this.outbox.gone();
    this.#all.remove(this);
    countClose(this.#all.outboxes.counters, this.#closeCode === 0 ? code : this.#closeCode);
  }

  /** The first bytes of a message have come and more must follow, or (`false`) nothing is left over. */
  partial(isPartial: boolean): void {
    if (this.#state !== 'open' || isPartial === (this.#messageTick !== NEVER)) return;
    this.#messageTick = isPartial ? this.#all.deadlines.now + this.#all.messageTicks : NEVER;
    if (isPartial && this.#messageTick < this.dueTick) this.#all.deadlines.set(this, this.#messageTick);
  }

  /** Only the answer to the last ping is a sign of life. */
  answered(token: number): void {
    if (token !== this.#asked || this.#asked === 0 || this.#state !== 'open') return;
    this.#asked = 0;
    this.#beatTick = this.#all.deadlines.now + this.#all.intervalTicks;
    this.#wait();
  }

  onDue(): void {
    const { now } = this.#all.deadlines;
    if (now >= this.#messageTick) return this.close('message_time');
    if (now >= this.#beatTick) {
      if (this.#asked !== 0) return this.#die();
      this.#ping();
    }
    if (this.#state === 'open') this.#wait();
  }

  #ping(): void {
    this.#asked = 1 + Math.floor(Math.random() * (NEVER - 1));
    this.#beatTick = this.#all.deadlines.now + this.#all.timeoutTicks;
    this.outbox.write(this.link.probe(this.#asked), 0);
  }

  #die(): void {
    this.#closeCode = ABNORMAL;
    this.link.destroy();
  }

  #wait(): void {
    this.#all.deadlines.set(this, Math.min(this.#beatTick, this.#messageTick));
  }

  #leave(state: 'closing'): void {
    this.#state = state;
    this.outbox.shut('closed');
    this.#all.deadlines.cancel(this);
    this.feed?.leave();
    this.feed = undefined;
    this.#conversation.end();
  }
}
