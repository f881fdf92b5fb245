import type { ClientFrame } from '../frames.ts';
import type { Link, LinkEvents, TransportName } from '../transports/transport.ts';
import { Channel } from './channel.ts';
import type { Downward, Upward } from './messages.ts';

/** A tab's share of the link that one of the tabs holds for all. */
export class TabLink implements Link {
  /** What waits in the tab that leads is not known here. */
  readonly buffered = 0;
  readonly #id: string = crypto.getRandomValues(new Uint32Array(4)).join('-');
  readonly #channel: Channel;
  readonly #open: Upward;
  readonly #events: LinkEvents;
  #isOpen = false;

  constructor(name: string, transport: TransportName, token: string | undefined, events: LinkEvents) {
    this.#events = events;
    this.#open = { up: 'open', tab: this.#id, transport, token };
    this.#channel = new Channel(name, (message) => {
      if ('down' in message) this.#read(message);
    });
    this.#channel.post(this.#open);
  }

  send(frames: readonly ClientFrame[]): void {
    this.#channel.post({ up: 'send', tab: this.#id, frames });
  }

  close(): void {
    this.#channel.post({ up: 'close', tab: this.#id });
    this.#channel.close();
  }

  #read(message: Downward): void {
    if (message.down === 'lead') {
      // Whoever led before is gone, or nobody did.
      if (this.#isOpen) this.#events.ended({});
      else this.#channel.post(this.#open);
      return;
    }
    if (!message.tabs.includes(this.#id)) return;
    if (message.down === 'ended') return this.#events.ended(message.end);
    if (message.down === 'heard') return this.#events.heard();
    this.#isOpen ||= message.frame.type === 'welcome';
    this.#events.frame(message.frame);
  }
}
