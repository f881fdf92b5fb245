import type { NameRule } from '@busgate/layer/driver';

/** Django's, as far as they are names here: its groups and channels may also begin or end with a dot. */
export const DJANGO_NAMES: NameRule = { maxLength: 99, marks: '_-' };

/** Django's default, which stands where a layer has Busgate's own. */
const DJANGO_PREFIX = 'asgi';
const BUSGATE_PREFIX = 'busgate';

/** The names of everything that channels_redis has in Redis, and of what gateways tell each other beside it. */
export class ChannelsNames {
  readonly prefix: string;
  readonly process: string;

  constructor(prefix: string, process: string) {
    this.prefix = prefix === BUSGATE_PREFIX ? DJANGO_PREFIX : prefix;
    this.process = process;
  }

  /** Where the pub/sub layer publishes to a group. */
  groupChannel(group: string): string {
    return `${this.prefix}__group__${group}`;
  }

  /** The core layer's members of a group. */
  groupKey(group: string): string {
    return `${this.prefix}:group:${group}`;
  }

  /** What the core layer's groups are found by. */
  get groupPattern(): string {
    return `${this.prefix}:group:*`;
  }

  /** The part of a channel's name that says which queue of the core layer it has: the channels of a process share one. */
  static address(channel: string): string {
    return /^[^!]*!/.exec(channel)?.[0] ?? channel;
  }

  /** The core layer's queue of a channel. */
  queue(channel: string): string {
    return `${this.prefix}${ChannelsNames.address(channel)}`;
  }

  /** The core layer's queue of this process. */
  get inbox(): string {
    return this.inboxOf(this.process);
  }

  get inboxAddress(): string {
    return `specific.${this.process}!`;
  }

  inboxOf(process: string): string {
    return `${this.prefix}specific.${process}!`;
  }

  /** The hash of gateways that are members of the core layer's groups. */
  get lives(): string {
    return this.own('core', 'lives');
  }

  /** The worker queues that gateways wrote to lately. */
  get knownQueues(): string {
    return this.own('core', 'queues');
  }

  /** The worker queues that gateways made members of a group, each until its membership would end. */
  addedTo(group: string): string {
    return this.own('added', group);
  }

  /** This process as a member of a group: `tag` comes back with each message. */
  member(tag: string): string {
    return `specific.${this.process}!g-${tag}`;
  }

  /** The tag of {@link member}; undefined for a channel of a session. */
  static tagOf(channel: string): string | undefined {
    return /!g-(.*)$/.exec(channel)?.[1];
  }

  /** Every channel of this process, on the pub/sub layer. */
  get ownChannels(): string {
    return `*.${this.process}!*`;
  }

  /** What only gateways use. */
  own(kind: string, name: string): string {
    return `${this.prefix}:busgate:${kind}:${name}`;
  }
}
