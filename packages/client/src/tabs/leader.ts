import type { Openers, Target, TransportName } from '../transports/transport.ts';
import { Channel } from './channel.ts';
import type { Upward } from './messages.ts';
import { SharedLink } from './shared-link.ts';

/** Holds the links of all tabs of the origin, until it is closed. */
export class Leader {
  readonly #channel: Channel;
  readonly #openers: Openers;
  readonly #target: Omit<Target, 'token'>;
  readonly #links = new Set<SharedLink>();

  constructor(name: string, openers: Openers, target: Omit<Target, 'token'>) {
    this.#openers = openers;
    this.#target = target;
    this.#channel = new Channel(name, (message) => {
      if ('up' in message) this.#read(message);
    });
    this.#channel.post({ down: 'lead' });
  }

  close(): void {
    for (const link of this.#links) {
      link.close();
      link.ended({});
    }
    this.#channel.close();
  }

  #read(message: Upward): void {
    if (message.up === 'open') return this.#shared(message.transport, message.token).add(message.tab);
    for (const link of this.#links) {
      if (!link.has(message.tab)) continue;
      if (message.up === 'send') link.send(message.tab, message.frames);
      else if (link.remove(message.tab)) this.#links.delete(link);
    }
  }

  /** The link that all tabs share which ask for this transport. */
  #shared(transport: TransportName, token: string | undefined): SharedLink {
    for (const link of this.#links) if (link.isGood && link.transport === transport) return link;
    const link = new SharedLink(transport, (message) => this.#channel.post(message));
    this.#links.add(link);
    void this.#open(link, token);
    return link;
  }

  async #open(link: SharedLink, token: string | undefined): Promise<void> {
    try {
      const open = await this.#openers[link.transport]();
      link.use(open({ ...this.#target, token }, link));
    } catch {
      link.ended({});
    }
  }
}
