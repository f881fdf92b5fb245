import type { Driver } from './driver/driver.ts';
import { LayerError, isLayerError } from './errors.ts';
import type { Groups } from './groups.ts';
import type { Inbox, MembershipRequest } from './inbox.ts';
import { channelAddress, checkName, NAMES, type NameRule } from './names.ts';
import type { ProcessChannels } from './process-channels.ts';
import { requireCapability } from './abilities.ts';

/** What a change of a membership goes through, and who is told of it. */
export interface MembershipPlaces {
  readonly groups: Groups;
  readonly here: ProcessChannels;
  /** The way to the owners of channels of other processes. */
  readonly inbox: Pick<Inbox, 'ask'>;
  /** @throws LayerError LAYER_CLOSED, LAYER_AWAY */
  readonly checkReachable: () => void;
  /** Tells all other processes that a worker queue is no member any more. */
  readonly discarded: (group: string, queue: string) => Promise<void>;
}

/** Makes channels members of groups, and no members any more, wherever they live: a channel of another process is its owner's to change. */
export class Memberships {
  readonly #process: string;
  readonly #driver: Driver;
  readonly #places: MembershipPlaces;
  readonly #names: NameRule;

  constructor(process: string, driver: Driver, places: MembershipPlaces) {
    this.#process = process;
    this.#driver = driver;
    this.#places = places;
    this.#names = driver.capabilities.names ?? NAMES;
  }

  async change(op: 'add' | 'discard', group: string, channel: string): Promise<void> {
    checkName('group', group, this.#names);
    const address = channelAddress(channel, this.#names);
    this.#places.checkReachable();
    requireCapability(this.#driver.capabilities, 'groups');
    if ('queue' in address) await this.#changeQueue(op, group, address.queue);
    else if (address.process === this.#process) await this.changeHere({ op, group, channel });
    else await this.#askOwner(address.process, { op, group, channel });
  }

  /** A change of a channel that lives here, asked for by this process or by another one. */
  async changeHere({ op, group, channel }: MembershipRequest): Promise<void> {
    checkName('group', group, this.#names);
    const { groups, here } = this.#places;
    if (op === 'discard') return groups.discardLocal(group, channel);
    if (!here.has(channel)) throw new LayerError('CHANNEL_GONE', `channel ${channel} is not open in its process`);
    await groups.addLocal(group, channel);
  }

  async #changeQueue(op: 'add' | 'discard', group: string, queue: string): Promise<void> {
    requireCapability(this.#driver.capabilities, 'queues');
    const { groups, discarded } = this.#places;
    if (op === 'add') return groups.addQueue(group, queue);
    await groups.discardQueue(group, queue);
    await discarded(group, queue);
  }

  async #askOwner(process: string, request: MembershipRequest): Promise<void> {
    try {
      await this.#places.inbox.ask(process, request);
    } catch (error) {
      if (request.op === 'add' || !isLayerError(error, 'CHANNEL_GONE')) throw error;
    }
  }
}
