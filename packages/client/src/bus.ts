import type { BusState, BusStateDetail, Host } from './core/actions.ts';
import { Core } from './core/core.ts';
import { Ladder } from './core/ladder.ts';
import type { JoinOptions } from './core/rooms.ts';
import { Emitter } from './emitter.ts';
import { BusError } from './errors.ts';
import { contentOf, Message } from './message.ts';
import { type Settings, targetOf } from './options.ts';
import { watchPage } from './page.ts';
import { type Published, type PublishOptions, type Room, RoomHandle, type RoomOwner } from './room.ts';
import { probe } from './transports/probe.ts';
import { OPENERS } from './transports/openers.ts';
import type { Link, LinkEvents, Openers, TransportName } from './transports/transport.ts';

/** The longest that a timer can be set to. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** A probe that takes longer has found nothing, in milliseconds. */
const PROBE_MS = 10_000;
interface BusEvents extends Record<string, unknown[]> {
  state: [state: BusState, detail: BusStateDetail];
}

/** A connection to a gateway, whatever it goes over, and however often it breaks. */
export interface Bus {
  readonly state: BusState;
  /** What frames go over now, or would. */
  readonly transport: TransportName;
  /** Resolves when it is open for the first time; rejects with a {@link BusError} where it has stopped for ever. */
  readonly ready: Promise<void>;
  /** Answers what takes the listener off again. */
  on(name: 'state', listener: (state: BusState, detail: BusStateDetail) => void): () => void;
  /** A second handle of a room begins where the first one stands. */
  join<T = unknown>(room: string, options?: JoinOptions): Room<T>;
  /** Leaves all rooms; what is not published yet rejects. */
  close(): void;
}

/** Carries out what the core decides: links, timers, tokens, listeners. */
export class BusHandle extends Emitter<BusEvents> implements Bus, RoomOwner {
  state: BusState = 'connecting';
  transport: TransportName;
  readonly ready: Promise<void>;
  #code = '';
  readonly #settings: Settings;
  readonly #openers: Openers;
  readonly #core: Core;
  readonly #links = new Map<number, Link>();
  readonly #rooms = new Map<string, Set<RoomHandle>>();
  readonly #page = new AbortController();
  #isRunning = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Infinity;
  readonly #host: Host = {
    token: (link) => void this.#ask(link),
    open: (link, transport, token) => void this.#open(link, transport, token),
    send: (link, frames) => this.#links.get(link)?.send(frames),
    close: (link) => {
      this.#links.get(link)?.close();
      this.#links.delete(link);
    },
    probe: (id, token) => void probe(targetOf(this.#settings, token), AbortSignal.timeout(PROBE_MS)).then((end) => this.#run(() => this.#core.probed(id, end))),
    state: (state, detail) => this.#become(state, detail),
    room: (name, state, code) => this.#each(name, (room) => room.become(state, code === undefined ? undefined : new BusError(code)), state === 'left'),
    message: (frame) => this.#each(frame.room, (room) => room.receive(new Message(frame))),
    gap: (name, gap) => this.#each(name, (room) => room.emit('gap', gap)),
  };

  /** `memory` outlives this bus: which transport worked, by address. */
  constructor(settings: Settings, memory: Map<string, TransportName>, openers: Openers = OPENERS) {
    super();
    this.#settings = settings;
    this.#openers = openers;
    const ladder = new Ladder(settings.transports, memory, settings.url.href);
    this.transport = ladder.transport;
    this.#core = new Core(
      { ...settings, ladder },
      { now: () => performance.now(), random: Math.random, buffered: (link) => this.#links.get(link)?.buffered ?? 0 },
    );
    this.ready = new Promise((resolve, reject) => {
      this.on('state', (state) => {
        if (state === 'open') resolve();
        if (state === 'closed') reject(new BusError(this.#code));
      });
    });
    // A program that does not wait for it is told by the state.
    this.ready.catch(() => undefined);
    watchPage(
      () => this.#run(() => this.#core.wake()),
      () => this.#run(() => this.#core.suspend()),
      this.#page.signal,
    );
    this.#run(() => this.#core.start());
  }

  join<T = unknown>(name: string, options: JoinOptions = {}): Room<T> {
    const room = new RoomHandle<T>(name, this);
    const handles = this.#rooms.get(name);
    if (this.state === 'closed') room.become('left', new BusError(this.#code));
    else if (handles === undefined) {
      this.#rooms.set(name, new Set([room as RoomHandle]));
      this.#run(() => this.#core.join(name, options));
    } else {
      for (const { state } of handles) room.become(state);
      handles.add(room as RoomHandle);
    }
    return room;
  }

  leave(room: RoomHandle): void {
    const handles = this.#rooms.get(room.name);
    if (handles?.delete(room) && handles.size === 0) {
      this.#rooms.delete(room.name);
      this.#run(() => this.#core.leave(room.name));
    }
    room.become('left');
  }

  publish(room: string, value: unknown, { idempotent }: PublishOptions): Promise<Published> {
    return new Promise((resolve, reject) => {
      const content = contentOf(value);
      this.#run(() =>
        this.#core.publish(room, content, idempotent ? randomKey() : undefined, (failure, position) => {
          if (failure === undefined) resolve({ position });
          else reject(new BusError(failure.code, failure.message));
        }),
      );
    });
  }

  close(): void {
    this.#run(() => this.#core.close('closed'));
  }

  /** Tells the core, and does what it asks for. What listeners set off meanwhile comes after it. */
  #run(input: () => void): void {
    input();
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let actions = this.#core.take(); actions.length > 0; actions = this.#core.take()) {
      for (const [name, ...details] of actions) (this.#host[name] as (...details: unknown[]) => void)(...details);
    }
    this.#isRunning = false;
    this.#schedule(this.#core.wakeAt);
  }

  /** A timer that is early is left alone, since frames put it off all the time; it looks, and is set anew. */
  #schedule(at: number): void {
    if (at >= this.#timerAt && at < Infinity) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    if (at === Infinity) return;
    const look = (): void => {
      this.#timerAt = Infinity;
      this.#run(() => this.#core.tick());
    };
    this.#timer = setTimeout(look, Math.min(Math.max(0, at - performance.now()), MAX_TIMER_MS));
  }

  async #ask(link: number): Promise<void> {
    const { token } = this.#settings;
    const answer = await Promise.resolve()
      .then(() => (typeof token === 'function' ? token() : token))
      // It is asked for again later, like anything else that cannot be had.
      .catch(() => undefined);
    this.#run(() => this.#core.token(link, answer));
  }

  async #open(id: number, transport: TransportName, token: string | undefined): Promise<void> {
    const events: LinkEvents = {
      frame: (frame) => this.#run(() => this.#core.frame(id, frame)),
      heard: () => this.#run(() => this.#core.heard(id)),
      ended: (end) => this.#run(() => this.#core.ended(id, end)),
    };
    try {
      const open = await this.#openers[transport]();
      if (this.#core.has(id)) this.#links.set(id, open(targetOf(this.#settings, token), events));
    } catch {
      events.ended({});
    }
  }

  #become(state: BusState, detail: BusStateDetail): void {
    if (state !== 'waiting' && state === this.state && detail.transport === this.transport) return;
    this.state = state;
    this.transport = detail.transport;
    if (state === 'closed') {
      this.#code = detail.code as string;
      this.#page.abort();
      for (const name of this.#rooms.keys()) this.#host.room(name, 'left', this.#code === 'closed' ? undefined : this.#code);
    }
    this.emit('state', state, detail);
  }

  #each(name: string, use: (room: RoomHandle) => void, isLast = false): void {
    const rooms = [...(this.#rooms.get(name) ?? [])];
    if (isLast) this.#rooms.delete(name);
    for (const room of rooms) use(room);
  }
}

/** 128 bits; `crypto.randomUUID` is only there on pages with TLS. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
