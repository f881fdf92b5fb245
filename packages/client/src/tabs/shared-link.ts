import type { LinkEnd } from '../core/policy.ts';
import type { ClientFrame, ServerFrame } from '../frames.ts';
import type { Link, LinkEvents, TransportName } from '../transports/transport.ts';
import type { Downward } from './messages.ts';

type Question = Extract<ClientFrame, { readonly ref: number }>;

/** A join or a publish, which the tab knows by a number of its own. */
interface TabQuestion {
  readonly tab: string;
  readonly question: Question;
}

/** A link to the gateway that several tabs share: each has the answers to what it asked, and all have everything else. */
export class SharedLink implements LinkEvents {
  readonly transport: TransportName;
  readonly #post: (message: Downward) => void;
  readonly #tabs = new Set<string>();
  /** Who is in a room: it is left with the last of them. */
  readonly #rooms = new Map<string, Set<string>>();
  readonly #asked = new Map<number | undefined, TabQuestion>();
  #refs = 0;
  #link: Link | undefined;
  #welcome: ServerFrame | undefined;
  /** Whether who comes now may share it: not where it has ended, or the gateway goes. */
  isGood = true;

  constructor(transport: TransportName, post: (message: Downward) => void) {
    this.transport = transport;
    this.#post = post;
  }

  /** The wire, once there is one. Nothing is sent before: tabs wait for the welcome. */
  use(link: Link): void {
    if (this.isGood) this.#link = link;
    else link.close();
  }

  has(tab: string): boolean {
    return this.#tabs.has(tab);
  }

  add(tab: string): void {
    this.#tabs.add(tab);
    if (this.#welcome !== undefined) this.#post({ down: 'frame', tabs: [tab], frame: this.#welcome });
  }

  /** Whether it was the last tab: then the link is closed. */
  remove(tab: string): boolean {
    this.#tabs.delete(tab);
    for (const [room, tabs] of this.#rooms) if (tabs.has(tab)) this.#leave(room, tab);
    if (this.#tabs.size === 0) this.close();
    return this.#tabs.size === 0;
  }

  send(tab: string, frames: readonly ClientFrame[]): void {
    for (const frame of frames) {
      if (frame.type === 'leave') this.#leave(frame.room, tab);
      else if ('ref' in frame) this.#ask(tab, frame);
      else this.#link?.send([frame]);
    }
  }

  close(): void {
    this.isGood = false;
    this.#link?.close();
    this.#link = undefined;
  }

  readonly heard = (): void => this.#post({ down: 'heard', tabs: [...this.#tabs] });

  frame(frame: ServerFrame): void {
    if (frame.type === 'welcome') this.#welcome = frame;
    if (frame.type === 'reconnect') this.isGood = false;
    const ref = 'ref' in frame ? frame.ref : undefined;
    const asked = this.#asked.get(ref);
    this.#asked.delete(ref);
    if (asked !== undefined) {
      const { tab, question } = asked;
      if (frame.type === 'error' && question.type === 'join') this.#rooms.get(question.room)?.delete(tab);
      this.#post({ down: 'frame', tabs: [tab], frame: { ...frame, ref: question.ref } as ServerFrame });
    } else if (ref === undefined) this.#post({ down: 'frame', tabs: [...this.#tabs], frame });
  }

  ended(end: LinkEnd): void {
    this.isGood = false;
    this.#link = undefined;
    this.#post({ down: 'ended', tabs: [...this.#tabs], end });
  }

  #ask(tab: string, question: Question): void {
    const ref = (this.#refs += 1);
    this.#asked.set(ref, { tab, question });
    if (question.type === 'join') this.#rooms.set(question.room, (this.#rooms.get(question.room) ?? new Set()).add(tab));
    this.#link?.send([{ ...question, ref }]);
  }

  #leave(room: string, tab: string): void {
    const tabs = this.#rooms.get(room);
    if (tabs?.delete(tab) !== true || tabs.size > 0) return;
    this.#rooms.delete(room);
    this.#link?.send([{ type: 'leave', room }]);
  }
}
