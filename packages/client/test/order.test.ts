import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Action } from '../src/core/actions.ts';
import { Stage } from './support/stage.ts';

/**
 * What gateways and networks may do to a room with history. A gateway sends each link what the history has, in order, from where the join said; a link may be
 * behind, be cut at any place, and be replaced while it stands.
 */
type Step =
  | { readonly do: 'publish' }
  | { readonly do: 'deliver'; readonly link: number }
  | { readonly do: 'cut' }
  | { readonly do: 'drain' }
  | { readonly do: 'restart' };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ do: 'publish' } as const) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('deliver' as const), link: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'cut' } as const) },
  { weight: 2, arbitrary: fc.constant({ do: 'drain' } as const) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' } as const) },
);

/** Some links, each with what is still to come on it: answers to joins, messages and gaps. */
class Fleet {
  readonly stage = new Stage();
  readonly published: string[] = [];
  epoch = 0;
  offset = 0;
  /** What a new link cannot have any more: the broker lost it. */
  #lost = 0;
  #sent = 0;
  readonly #queues = new Map<number, (() => void)[]>();

  constructor() {
    this.stage.do((core) => core.join('room', {}));
    this.#look();
  }

  /** The links that the client has not closed. */
  get links(): number[] {
    return [...this.#queues.keys()];
  }

  publish(): void {
    this.offset += 1;
    const position = `${this.epoch}:${this.offset}`;
    this.published.push(position);
    for (const link of this.links) if (this.#members.has(link)) this.#queue(link, () => this.#message(link, position));
  }

  readonly #members = new Set<number>();

  /** One more thing arrives on a link. */
  deliver(link: number): boolean {
    const next = this.#queues.get(link)?.shift();
    next?.();
    this.#look();
    return next !== undefined;
  }

  cut(): void {
    const [link] = this.links;
    if (link !== undefined) this.stage.end({ code: 1006 }, link);
    this.#look();
  }

  drain(): void {
    const [link] = this.links;
    if (link !== undefined) this.#queue(link, () => this.stage.frame({ type: 'reconnect', after: 0 }, link));
  }

  /** The broker comes back empty: everybody is told a gap. */
  restart(): void {
    this.epoch += 1;
    this.offset = 0;
    this.#lost = this.published.length;
    for (const link of this.links) if (this.#members.has(link)) this.#queue(link, () => this.stage.frame({ type: 'gap', room: 'room', after: 0 }, link));
  }

  #queue(link: number, what: () => void): void {
    this.#queues.get(link)?.push(what);
  }

  #message(link: number, position: string): void {
    this.stage.frame({ type: 'message', room: 'room', data: position, position }, link);
  }

  /** Does what the core has asked for. */
  #look(): void {
    const { stage } = this;
    if (stage.state === 'waiting' || stage.core.wakeAt <= stage.now) stage.pass(Math.max(0, Math.min(stage.core.wakeAt - stage.now, 20_000)));
    for (; this.#sent < stage.actions.length; this.#sent += 1) this.#do(stage.actions[this.#sent] as Action);
    if (stage.state === 'waiting') this.#look();
  }

  #do(action: Action): void {
    const { stage } = this;
    if (action[0] === 'open') this.#queues.set(action[1], [() => stage.welcome(action[1])]);
    else if (action[0] === 'close') {
      this.#queues.delete(action[1]);
      this.#members.delete(action[1]);
    } else if (action[0] === 'probe') stage.do((core) => core.probed(action[1], {}));
    else if (action[0] === 'send') for (const frame of action[2]) if (frame.type === 'join') this.#join(action[1], frame.ref, frame.since);
  }

  #join(link: number, ref: number, since: string | undefined): void {
    this.#members.add(link);
    const at = since === undefined || since === '0:0' ? 0 : this.published.indexOf(since) + 1;
    const recovered = since === undefined ? undefined : at >= this.#lost;
    const position = recovered === true ? since : `${this.epoch}:${this.offset}`;
    const kept = since === undefined ? [] : this.published.slice(recovered === true ? at : this.#lost);
    this.#queue(link, () => this.stage.frame({ type: 'joined', room: 'room', ref, position, recovered }, link));
    if (recovered === false) this.#queue(link, () => this.stage.frame({ type: 'gap', room: 'room', after: 0 }, link));
    for (const each of kept) this.#queue(link, () => this.#message(link, each));
  }
}

test('whatever is cut, replaced or late, each message is given once and in order, and only a gap leaves any out', () => {
  fc.assert(
    fc.property(fc.array(STEP, { maxLength: 120 }), (steps) => {
      const fleet = new Fleet();
      // The room is joined before anything happens.
      while (fleet.deliver(fleet.links[0] as number));
      for (const step of steps) {
        if (step.do === 'deliver') fleet.deliver(fleet.links[step.link % Math.max(1, fleet.links.length)] as number);
        else fleet[step.do]();
      }
      // In the end everything arrives, on a link that nobody cuts.
      fleet.publish();
      for (let moved = true; moved;) moved = fleet.links.map((link) => fleet.deliver(link)).some(Boolean);

      const given = fleet.stage.told('message').map(([, { position }]) => position as string);
      const places = given.map((position) => fleet.published.indexOf(position));
      expect(places).toEqual([...new Set(places)].sort((one, other) => one - other));
      expect(given.at(-1)).toBe(fleet.published.at(-1));
      if (fleet.stage.told('gap').length === 0) expect(given).toEqual(fleet.published);
    }),
    { numRuns: 500 },
  );
});
