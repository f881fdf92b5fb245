import type { Action, BusState } from '../../src/core/actions.ts';
import { Core, type CoreOptions } from '../../src/core/core.ts';
import { Ladder } from '../../src/core/ladder.ts';
import type { LinkEnd } from '../../src/core/policy.ts';
import type { ClientFrame, ServerFrame } from '../../src/frames.ts';
import { TRANSPORTS, type TransportName } from '../../src/transports/transport.ts';

/** A core with a clock that stands still, and everything that it has asked for. */
export class Stage {
  /** Milliseconds; a page is never at 0. */
  now = 1000;
  /** What the next draw is. */
  random = 0.5;
  /** Bytes that each link holds. */
  buffered = 0;
  readonly memory: Map<string, TransportName>;
  readonly actions: Action[] = [];
  readonly core: Core;

  constructor(options: Partial<Omit<CoreOptions, 'ladder'>> & { transports?: readonly TransportName[]; memory?: Map<string, TransportName> } = {}) {
    this.memory = options.memory ?? new Map();
    this.core = new Core(
      {
        ladder: new Ladder(options.transports ?? TRANSPORTS, this.memory, 'here'),
        heartbeat: { every: 30_000, timeout: 35_000 },
        buffer: 1000,
        ...options,
      },
      { now: () => this.now, random: () => this.random, buffered: () => this.buffered },
    );
    this.core.start();
    this.take();
  }

  /** The last state that was told. */
  get state(): BusState {
    return this.#last('state')?.[1] as BusState;
  }

  get detail(): Record<string, unknown> {
    return this.#last('state')?.[2] as unknown as Record<string, unknown>;
  }

  /** The link that was opened last. */
  get link(): number {
    return this.#last('open')?.[1] as number;
  }

  get transport(): TransportName {
    return this.#last('open')?.[2] as TransportName;
  }

  /** How many links were opened. */
  get opened(): number {
    return this.actions.filter(([name]) => name === 'open').length;
  }

  /** Frames that were sent, on one link or on all. */
  sent(link?: number): ClientFrame[] {
    return this.actions.flatMap((action) => (action[0] === 'send' && (link ?? action[1]) === action[1] ? action[2] : []));
  }

  lastSent(): ClientFrame {
    return this.sent().at(-1) as ClientFrame;
  }

  /** What was told to the program, by name. */
  told<Name extends 'room' | 'message' | 'gap' | 'close' | 'token' | 'probe'>(name: Name): Extract<Action, readonly [Name, ...unknown[]]>[] {
    return this.actions.filter((action): action is Extract<Action, readonly [Name, ...unknown[]]> => action[0] === name);
  }

  /** Tells the core, and takes what it asks for. */
  do(input: (core: Core) => void): void {
    input(this.core);
    this.take();
  }

  take(): void {
    this.actions.push(...this.core.take());
  }

  frame(frame: ServerFrame, link = this.link): void {
    this.do((core) => core.frame(link, frame));
  }

  end(end: LinkEnd, link = this.link): void {
    this.do((core) => core.ended(link, end));
  }

  welcome(link = this.link): void {
    this.frame({ type: 'welcome', session: 's' }, link);
  }

  /** Answers the last join that was sent. */
  joined(details: { position?: string; recovered?: boolean } = {}, link = this.link): void {
    const join = this.sent(link).findLast((frame) => frame.type === 'join');
    if (join?.type !== 'join') throw new Error('no join was sent');
    this.frame({ type: 'joined', room: join.room, ref: join.ref, ...details }, link);
  }

  /** Lets time pass, and looks when the core wants to. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (let at = this.core.wakeAt; at <= end; at = this.core.wakeAt) {
      this.now = Math.max(this.now, at);
      this.do((core) => core.tick());
    }
    this.now = end;
  }

  /** Waits as long as the core does before it opens the next link; answers how long that was. */
  wait(): number {
    const [opened, began] = [this.opened, this.now];
    while (this.opened === opened) {
      if (this.core.wakeAt === Infinity) throw new Error('it waits for nothing');
      this.pass(this.core.wakeAt - this.now);
    }
    return this.now - began;
  }

  /** Time passes while the link answers. */
  live(ms: number): void {
    for (const end = this.now + ms; this.now < end;) {
      this.pass(Math.min(10_000, end - this.now));
      this.frame({ type: 'pong' });
    }
  }

  /** Time passes in which nothing can run, as on a machine that sleeps. */
  sleep(ms: number): void {
    this.now += ms;
    this.do((core) => core.tick());
  }

  #last<Name extends Action[0]>(name: Name): Extract<Action, readonly [Name, ...unknown[]]> | undefined {
    return this.actions.findLast((action): action is Extract<Action, readonly [Name, ...unknown[]]> => action[0] === name);
  }
}
