import type { Content, ServerFrame } from '../frames.ts';
import type { TransportName } from '../transports/transport.ts';
import type { Action, BusState, BusStateDetail, Emit, Senses } from './actions.ts';
import { Backoff } from './backoff.ts';
import type { Ladder } from './ladder.ts';
import { type HeartbeatOptions, LinkState } from './link-state.ts';
import { type LinkEnd, type NextAttempt, verdictOn } from './policy.ts';
import { type Done, Publishes } from './publishes.ts';
import { type JoinOptions, Rooms } from './rooms.ts';

/** A link that has not said `welcome` after so many milliseconds is not to be had; polls have no other to fall back to. */
const OPEN_MS = 3000;
const POLL_OPEN_MS = 10_000;
/** As long as the program may take for a token, in milliseconds. */
const TOKEN_MS = 10_000;
/** A token is renewed when this many milliseconds for each second of its life are over. */
const RENEW_MS = 800;
/** A handshake that was refused: a browser says no more. */
const ABNORMAL = 1006;

export interface CoreOptions {
  readonly ladder: Ladder;
  /** A token is to be asked for where it is there; only of a function there can be another one. */
  readonly token?: unknown;
  readonly heartbeat: HeartbeatOptions;
  /** Bytes of publishes on a wire, and of those that wait for it. */
  readonly buffer: number;
}

/**
 * What a bus does, without a wire or a timer: what happens goes in, and what is to be done comes out of {@link take}. There is one link, or two while one takes
 * over from the other.
 */
export class Core {
  readonly #options: CoreOptions;
  readonly #ladder: Ladder;
  readonly #senses: Senses;
  readonly #rooms: Rooms;
  readonly #publishes: Publishes;
  readonly #backoff: Backoff;
  readonly #actions: Action[] = [];
  #ids = 0;
  #state: BusState = 'connecting';
  #current: LinkState | undefined;
  /** Stands beside the current one before that is closed. */
  #next: LinkState | undefined;
  /** When a link is to be opened: the current one, or where that stands the next. */
  #dialAt = Infinity;
  /** No attempt is made before, whatever wakes the page. */
  #notBefore = 0;
  #renewAt = Infinity;
  #token: string | undefined;
  /** The probe whose answer is waited for. */
  #probe = 0;

  constructor(options: CoreOptions, senses: Senses) {
    const emit: Emit = (...action) => void this.#actions.push(action);
    this.#options = options;
    this.#ladder = options.ladder;
    this.#senses = senses;
    this.#rooms = new Rooms(emit, senses, () => (this.#ids += 1));
    this.#publishes = new Publishes(emit, senses, options.buffer);
    this.#backoff = new Backoff(senses);
  }

  /** When {@link tick} is due, unless something else happens first. */
  get wakeAt(): number {
    const flow = this.#standing() ? [this.#rooms.retryAt, this.#publishes.flushAt, this.#ladder.upgradeAt, this.#renewAt] : [];
    return Math.min(this.#publishes.giveUpAt, ...this.#links().map((link) => link.wakeAt), ...(this.#next ? [] : [this.#dialAt, ...flow]));
  }

  /** What is to be done, in this order. */
  take(): Action[] {
    return this.#actions.splice(0);
  }

  /** The room must not be joined already. */
  join(room: string, options: JoinOptions): void {
    this.#rooms.add(room, options);
    const link = this.#standing();
    if (link) this.#rooms.join(link.id);
  }

  leave(room: string): void {
    this.#rooms.remove(room);
  }

  /** `id` makes it safe to send it twice. */
  publish(room: string, content: Content, id: string | undefined, done: Done): void {
    if (this.#state === 'closed') return done({ code: 'closed' });
    this.#publishes.add({ type: 'publish', room, ref: (this.#ids += 1), id, ...content }, done);
    this.#settle();
  }

  /** Whether a link is still wanted. */
  has(id: number): boolean {
    return this.#linkOf(id) !== undefined;
  }

  /** Opens the first link. */
  start(): void {
    this.#current = this.#dial(this.#ladder.transport);
    this.#become('connecting');
  }

  /** The token that was asked for; undefined where it could not be had. */
  token(id: number, token: string | undefined): void {
    const link = this.#linkOf(id);
    this.#token = token ?? this.#token;
    if (link?.openedAt) {
      if (token) this.#actions.push(['send', id, [{ type: 'token', token }]]);
    } else if (link) this.#open(link);
  }

  heard(id: number): void {
    this.#linkOf(id)?.heard(this.#senses.now());
  }

  frame(id: number, frame: ServerFrame): void {
    const link = this.#linkOf(id);
    if (!link) return;
    link.heard(this.#senses.now());
    this.#read(link, frame);
    if (frame.type !== 'message') this.#settle();
  }

  ended(id: number, end: LinkEnd): void {
    const link = this.#linkOf(id);
    if (link) this.#fall(link, end);
  }

  /** What a request found. */
  probed(id: number, end: LinkEnd): void {
    if (this.#probe !== id) return;
    this.#probe = 0;
    this.#follow(end);
  }

  tick(): void {
    const now = this.#senses.now();
    for (const link of this.#links()) if (now >= link.wakeAt) this.#lookAtLiveness(link, now);
    const link = this.#standing();
    if (!this.#next && link) {
      if (now >= this.#rooms.retryAt) this.#rooms.join(link.id);
      if (now >= this.#renewAt) this.#renew(link);
      if (now >= this.#ladder.upgradeAt) this.#next = this.#dial(this.#ladder.best);
      else if (now >= this.#dialAt) this.#next = this.#dial(link.transport);
    } else if (now >= this.#dialAt && !link) this.start();
    this.#publishes.giveUp(now);
    this.#settle();
  }

  /** The network may be back, or the page: what waits is tried at once, as far as the gateway lets us, and what stands is asked whether it does. */
  wake(): void {
    for (const link of this.#links()) if (link.openedAt) this.#sendPing(link);
    if (this.#state === 'waiting') this.#dialAt = this.#notBefore;
  }

  /** The page is put away, until {@link wake}. */
  suspend(): void {
    if (this.#state === 'closed') return;
    this.#letGo();
    this.#become('waiting');
  }

  close(code: string): void {
    if (this.#state === 'closed') return;
    this.#letGo();
    this.#publishes.giveUp(Infinity, code);
    this.#become('closed', { code });
  }

  #links(): LinkState[] {
    return [this.#current, this.#next].filter((link) => link !== undefined);
  }

  #linkOf(id: number): LinkState | undefined {
    return this.#links().find((link) => link.id === id);
  }

  /** The current link, where it is open. */
  #standing(): LinkState | undefined {
    return this.#current?.openedAt ? this.#current : undefined;
  }

  #read(link: LinkState, frame: ServerFrame): void {
    const { id } = link;
    switch (frame.type) {
      case 'welcome':
        return this.#welcome(link, frame.expires);
      case 'joined':
        return this.#rooms.joined(id, frame);
      case 'message':
        return this.#rooms.message(id, frame);
      case 'gap':
      case 'missed':
        return this.#rooms.gap(id, frame);
      case 'left':
        return this.#rooms.left(id, frame.room, frame.reason);
      case 'published':
        return this.#publishes.published(frame.ref, frame.position);
      case 'error':
        this.#rooms.failed(frame.ref, frame.code);
        return this.#publishes.failed(frame.ref, frame.code, frame.message);
      case 'token':
        return this.#expires(frame.expires);
      case 'reconnect':
        if (link === this.#current) this.#dialAt = Math.min(this.#dialAt, this.#senses.now() + frame.after);
        return;
      default:
    }
  }

  #welcome(link: LinkState, expires: number | undefined): void {
    const now = this.#senses.now();
    link.openedAt = now;
    link.heard(now);
    this.#ladder.worked(link.transport, now);
    this.#expires(expires);
    if (link === this.#current) this.#stand(link);
    else this.#rooms.join(link.id, true);
  }

  /** It is the only link. */
  #stand(link: LinkState): void {
    this.#rooms.join(link.id);
    this.#become('open');
  }

  /**
   * The next link takes over once everything that can be resumed is resumed there, and nothing is unanswered on the one before it. Meanwhile nothing new is
   * published: on the next one it could overtake what is under way.
   */
  #settle(): void {
    const current = this.#standing();
    const next = this.#next;
    if (!current) return;
    if (!next?.openedAt) return this.#publishes.flush(current.id);
    if (!this.#rooms.isSettled(next.id) || !this.#publishes.isSettled(current.id)) return;
    this.#dialAt = Infinity;
    this.#dropLink(current, {});
    this.#publishes.flush(next.id);
  }

  #expires(seconds = Infinity): void {
    this.#renewAt = this.#senses.now() + seconds * RENEW_MS;
  }

  #renew(link: LinkState): void {
    this.#renewAt = Infinity;
    if (typeof this.#options.token === 'function') this.#actions.push(['token', link.id]);
  }

  #dial(transport: TransportName): LinkState {
    const link = new LinkState((this.#ids += 1), transport, this.#options.heartbeat, this.#senses.now() + TOKEN_MS);
    this.#dialAt = Infinity;
    if (this.#lacksToken()) this.#actions.push(['token', link.id]);
    else this.#open(link);
    return link;
  }

  #lacksToken(): boolean {
    return this.#options.token !== undefined && this.#token === undefined;
  }

  #open(link: LinkState): void {
    if (this.#lacksToken()) return this.#fall(link, {});
    link.wakeAt = this.#senses.now() + (link.transport === 'poll' ? POLL_OPEN_MS : OPEN_MS);
    this.#actions.push(['open', link.id, link.transport, this.#token]);
  }

  /** It was silent for too long. */
  #lookAtLiveness(link: LinkState, now: number): void {
    if (!link.openedAt) this.#fall(link, this.#lacksToken() ? {} : { code: 0 });
    else if (link.isDead(now)) this.#fall(link, {});
    else this.#sendPing(link);
  }

  #sendPing(link: LinkState): void {
    link.ask(this.#senses.now());
    this.#actions.push(['send', link.id, [{ type: 'ping' }]]);
  }

  /** A link has ended, or never was. */
  #fall(link: LinkState, end: LinkEnd): void {
    const wasNext = link === this.#next;
    this.#dropLink(link, end);
    if (wasNext) {
      // It is tried again while the current one stands.
      if (link.transport === this.#ladder.transport) this.#dialAt = this.#senses.now() + this.#backoff.next();
      else this.#ladder.postpone(this.#senses.now());
    } else if (!this.#current) {
      const isMute = !link.openedAt && (end.code ?? ABNORMAL) === ABNORMAL;
      if (!isMute || link.transport !== 'websocket' || this.#lacksToken()) return this.#follow(isMute ? {} : end);
      this.#probe = this.#ids += 1;
      this.#actions.push(['probe', this.#probe, this.#token]);
    }
  }

  /** Lets go of a link; the other one stands alone. */
  #dropLink(link: LinkState, end: LinkEnd): void {
    const isCurrent = link === this.#current;
    if (isCurrent) this.#current = this.#next;
    this.#next = undefined;
    if (link.openedAt) this.#backoff.lived(this.#senses.now() - link.openedAt);
    this.#actions.push(['close', link.id]);
    this.#rooms.linkEnded(link.id);
    this.#publishes.linkEnded(link.id, end.code);
    if (!isCurrent || !this.#current) return;
    if (this.#current.openedAt) this.#stand(this.#current);
    else this.#become('connecting');
  }

  #letGo(): void {
    const links = this.#links();
    this.#current = this.#next = undefined;
    this.#dialAt = this.#renewAt = Infinity;
    this.#probe = 0;
    for (const link of links) this.#dropLink(link, {});
  }

  #follow(end: LinkEnd): void {
    const verdict = verdictOn(end);
    if (verdict.stop) return this.close(verdict.stop);
    if (verdict.other) return this.#ladder.refused() ? this.start() : this.#wait({});
    if (verdict.fresh) {
      if (typeof this.#options.token === 'string') return this.close('expired');
      this.#token = undefined;
    }
    this.#ladder.lost(this.#senses.now());
    this.#wait(verdict);
  }

  #wait({ least, spread }: NextAttempt): void {
    const after = this.#backoff.next(least, spread);
    this.#notBefore = this.#senses.now() + (least ?? 0);
    this.#dialAt = this.#senses.now() + after;
    this.#become('waiting', { after });
  }

  #become(state: BusState, detail?: Partial<BusStateDetail>): void {
    this.#state = state;
    this.#actions.push(['state', state, { transport: (this.#current ?? this.#ladder).transport, ...detail }]);
  }
}
