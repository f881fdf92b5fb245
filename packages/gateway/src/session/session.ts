import { countClose, type SessionTransport } from '../counters.ts';
import { closeOf, type CloseKey, type End } from '../errors.ts';
import type { Conversation, Feed } from './conversation.ts';
import type { Deadlines, Timed } from './deadlines.ts';
import type { Identity } from '../identity.ts';
import type { Bucket } from '../limits/bucket.ts';
import type { Seat } from '../limits/seats.ts';
import { type Framing, framesOf, type Link, type Sheet, textSheet } from './link.ts';
import { Outbox, type Outboxes, type OutboxOwner, type SlowReason } from './outbox.ts';

/** Ticks and tokens stay below this, where numbers cost no memory of their own. */
const NEVER = 0x3fff_ffff;
/** Who can be asked for a client's rights is asked again after so long, in milliseconds. */
const ASK_AGAIN_MS = 2000;

/** How long the sessions of one transport may be silent, in ticks of the wheel. */
export interface SessionTicks {
  /** Between pings. */
  readonly interval: number;
  /** What an answer to one may take. */
  readonly timeout: number;
  /** From the first byte of a message to its last. */
  readonly message: number;
}

/** What may be there of a session before it begins. */
interface Beginning {
  /** Its id, where that was told to somebody. */
  readonly id?: string | undefined;
  readonly seat?: Seat;
  /** The client's, where that is not the link's peer. */
  readonly address?: string | undefined;
}

export interface RightsEnd {
  /** A session stays for so long without them, in milliseconds. */
  readonly grace: number;
  /** Finds out the rights of a session anew whose application can be asked; called again while it does not tell. */
  renew(session: Session): void;
}

/** What all sessions of a process share, and where they are known. */
export interface SessionHost {
  readonly outboxes: Outboxes;
  readonly deadlines: Deadlines;
  readonly ticks: Readonly<Record<SessionTransport, SessionTicks>>;
  /** The clock of the rights' ends, in milliseconds, never going back. */
  readonly now: () => number;
  /** What becomes of sessions whose rights end. */
  readonly rights: RightsEnd;
  add(session: Session): void;
  /** An id by which the session is found from now on: `known`, where it was made before. Called once a session. */
  name(session: Session, known?: string): string;
  /** It is over; `id` where it has one. */
  remove(session: Session, id: string | undefined): void;
}

/**
 * One client's conversation, whatever the wire. `open` until either side ends it, then `closing` while the last bytes leave, then `closed`.
 * Everything written to it passes its outbox; what the rooms hold for it leaves before any frame of its own.
 */
export class Session implements Timed, OutboxOwner {
  readonly transport: SessionTransport;
  readonly framing: Framing;
  readonly outbox: Outbox;
  feed: Feed | undefined;
  dueTick = -1;
  wheelNext: Timed | undefined;
  wheelBack: Timed | undefined;
  /** Its place among all sessions, and its number in the order of their beginnings; theirs to write. */
  place = -1;
  serial = 0;
  /** What it was given of histories, for whoever paces that. */
  replayed: Bucket | undefined;
  /** What it takes of its address and its user, where those are counted. */
  readonly seat: Seat | undefined;
  readonly #all: SessionHost;
  readonly #conversation: Conversation;
  readonly #begunTick: number;
  readonly #address: string | undefined;
  #link: Link | undefined;
  #identity: Identity;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #ending: End | undefined;
  #id: string | undefined;
  #isPaused = false;
  /** When to ping, or to give up waiting for the answer. */
  #beatTick: number;
  /** What the last ping asked for; 0 when it has been answered. */
  #asked = 0;
  #whenDrained: ((isOpen: boolean) => void) | undefined;
  #messageTick = NEVER;
  #rightsTick = NEVER;

  /** `converse` makes what the session's frames go to, and may write to the session at once. */
  constructor(link: Link, all: SessionHost, identity: Identity, converse: (session: Session) => Conversation, { id, seat, address }: Beginning = {}) {
    this.transport = link.kind;
    this.framing = link.framing;
    this.outbox = new Outbox(all.outboxes, link, this);
    this.#link = link;
    this.#all = all;
    this.#identity = identity;
    this.#begunTick = all.deadlines.now;
    this.#address = address;
    // The first one at any time of the interval's second half, so that those that came together are spread.
    this.#beatTick = all.deadlines.now + Math.ceil(this.#ticks.interval * (0.5 + Math.random() / 2));
    this.#rightsTick = this.#tickOf(identity);
    this.seat = seat;
    all.add(this);
    seat?.take(this);
    if (id !== undefined) this.#id = all.name(this, id);
    this.#wait();
    this.#conversation = converse(this);
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Unguessable, and the same for as long as the session lives. */
  get id(): string {
    this.#id ??= this.#all.name(this);
    return this.#id;
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** Where it has come to, and what it is in, for operators. */
  get about(): Pick<Conversation, 'route' | 'rooms'> {
    return this.#conversation;
  }

  /** The client's; undefined where only a link would say it, and there is none just now. */
  get address(): string | undefined {
    return this.#address ?? this.#link?.address;
  }

  /** Milliseconds since it began. */
  get age(): number {
    const { now, tickMs } = this.#all.deadlines;
    return (now - this.#begunTick) * tickMs;
  }

  /** From now on these are the client's rights. */
  identify(identity: Identity): void {
    this.#identity = identity;
    this.#rightsTick = this.#tickOf(identity);
    if (this.#state !== 'open') return;
    this.#wait();
    this.#conversation.identified?.();
  }

  /**
   * Goes on over another link of the same transport, or over none for a time: then nothing can be sent, and what is due is dropped. The one before
   * is cut off, and what it had not handed on is lost.
   */
  relink(link: Link | undefined): void {
    if (this.#state !== 'open') return link?.destroy();
    const before = this.#link;
    this.#link = link;
    this.outbox.relink(link);
    this.#tellDrained(link !== undefined);
    this.#messageTick = NEVER;
    this.#beat();
    if (this.#isPaused) link?.pause();
    before?.destroy();
  }

  /** A whole message from the client. */
  receive(data: Buffer, binary: boolean): void {
    if (this.#state !== 'open') return;
    if (binary) this.#conversation.binary(data);
    else this.#conversation.text(data);
  }

  /** Stops reading the client, whose liveness is not judged meanwhile: what would show it is not read. */
  pause(): void {
    if (this.#state !== 'open') return;
    this.#isPaused = true;
    this.#messageTick = NEVER;
    this.#link?.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#link?.resume();
    if (this.#state === 'open') this.#beat();
  }

  /** One text message of its own, after all that the rooms have for it. */
  send(text: string): void {
    this.sendAll([textSheet(text)], 0);
  }

  /** Messages of its own, `deliveries` of which are a room's. */
  sendAll(sheets: readonly Sheet[], deliveries: number): void {
    if (this.#state !== 'open') return;
    this.feed?.flush();
    this.outbox.write(framesOf(this.framing, sheets), deliveries);
  }

  /** Tells the client where it stands, after all that the rooms have for it; only on a wire that has room for that beside its messages. */
  mark(cursor: string): void {
    const mark = this.framing.mark?.(cursor);
    if (mark === undefined || this.#state !== 'open') return;
    this.feed?.flush();
    this.outbox.write(mark, 0);
  }

  /** Resolves once the kernel has taken what was written so far, or nearly; false where the session has ended before. Called again only then. */
  drained(): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#state !== 'open' || this.#link === undefined) return resolve(false);
      this.#whenDrained = resolve;
      this.#link.onceDrained(() => this.#tellDrained(true));
    });
  }

  /** Tells the client that it will be closed, where its route has words for it. */
  announceDrain(afterMs: number): void {
    if (this.#state === 'open') this.#conversation.announceDrain(afterMs);
  }

  /** Ends it: what the rooms have for it leaves first, then the reason, and nothing after. */
  close(how: CloseKey | End): void {
    const end = typeof how === 'string' ? closeOf(how) : how;
    this.closing(end);
    if (this.#link === undefined) this.#end(end);
    else this.#link.end(end);
  }

  /** Ends it at a gap: what came after the gap is not for it any more. */
  closeAtGap(): void {
    this.feed?.leave();
    this.feed = undefined;
    this.close('gap');
  }

  tooSlow(reason: SlowReason): void {
    this.outbox.shut(reason);
    this.close('slow');
  }

  /** At once, without a word. */
  cutOff(): void {
    if (this.#link === undefined) this.close('going_away');
    else this.#link.destroy();
  }

  /**
   * The end is about to be told on the link by either side's wish: the last moment to write anything else. Later calls do nothing.
   */
  closing(end: End): void {
    if (this.#state !== 'open') return;
    this.#ending = end;
    this.feed?.finish();
    // Its flush may have found the session too slow and ended it.
    if (this.#state === 'open') this.#leave(end);
  }

  /** `link` is gone; `end` is how, where the session has not ended for a reason of its own. */
  unlinked(link: Link, end: End): void {
    if (link !== this.#link || this.#state === 'closed') return;
    if (this.#state === 'open' && this.#conversation.unlinked?.() === true) this.relink(undefined);
    else this.#end(end);
  }

  /** The first bytes of a message have come and more must follow, or (`false`) nothing is left over. */
  partial(isPartial: boolean): void {
    if (this.#state !== 'open' || this.#isPaused || isPartial === (this.#messageTick !== NEVER)) return;
    this.#messageTick = isPartial ? this.#all.deadlines.now + this.#ticks.message : NEVER;
    if (isPartial && this.#messageTick < this.dueTick) this.#all.deadlines.set(this, this.#messageTick);
  }

  /** Only the answer to the last ping is a sign of life; whether it is that. */
  answered(token: number): boolean {
    const isAnswer = token === this.#asked && this.#asked !== 0 && this.#state === 'open';
    if (isAnswer) this.#beat();
    return isAnswer;
  }

  onDue(): void {
    const { now } = this.#all.deadlines;
    if (now >= this.#messageTick) return this.close('message_time');
    if (now >= this.#rightsTick) this.#endRights();
    if (now >= this.#beatTick && this.#state === 'open') {
      if (this.#asked !== 0 && this.#isHeard) return this.cutOff();
      this.#ping();
    }
    if (this.#state === 'open') this.#wait();
  }

  /** Whether what would show that the client lives is read. */
  get #isHeard(): boolean {
    return !this.#isPaused && this.#link?.isBehind !== true;
  }

  get #ticks(): SessionTicks {
    return this.#all.ticks[this.transport];
  }

  #ping(): void {
    const link = this.#link;
    if (link === undefined || !this.#isHeard) return this.#beat();
    this.#asked = 1 + Math.floor(Math.random() * (NEVER - 1));
    this.#beatTick = this.#all.deadlines.now + this.#ticks.timeout;
    this.outbox.write(link.probe(this.#asked), 0);
  }

  /** It lives, as far as can be told: the next ping comes an interval from now. */
  #beat(): void {
    this.#asked = 0;
    this.#beatTick = this.#all.deadlines.now + this.#ticks.interval;
    this.#wait();
  }

  /** Who said them is asked again, where that can be; at the end of the grace nothing helps any more. What began within a tick is due before that. */
  #endRights(): void {
    const { deadlines, now, rights } = this.#all;
    const { question, until = Infinity } = this.#identity;
    const left = until + rights.grace - now();
    if (left <= 0) return this.close('expired');
    this.#rightsTick = deadlines.now + deadlines.ticks(question === undefined ? left : Math.min(ASK_AGAIN_MS, left));
    if (question !== undefined) rights.renew(this);
  }

  /** When something is to be done about the rights' end. */
  #tickOf({ until, question }: Identity): number {
    const { deadlines, now, rights } = this.#all;
    if (until === undefined) return NEVER;
    const end = question === undefined ? Math.max(until, now()) + rights.grace : until;
    return Math.min(NEVER, deadlines.now + deadlines.ticks(end - now()));
  }

  #tellDrained(isOpen: boolean): void {
    this.#whenDrained?.(isOpen);
    this.#whenDrained = undefined;
  }

  #wait(): void {
    this.#all.deadlines.set(this, Math.min(this.#beatTick, this.#messageTick, this.#rightsTick));
  }

  #leave(end: End): void {
    this.#state = 'closing';
    this.outbox.shut('closed');
    this.#all.deadlines.cancel(this);
    this.feed?.leave();
    this.feed = undefined;
    this.#conversation.end(end);
    this.#tellDrained(false);
    // So that the peer's own word of the end is read.
    this.resume();
  }

  #end(end: End): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'open') this.#leave(end);
    this.#state = 'closed';
    this.outbox.gone();
    this.#all.remove(this, this.#id);
    countClose(this.#all.outboxes.counters, (this.#ending ?? end).code);
  }
}
