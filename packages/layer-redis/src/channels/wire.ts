import type { ResolvedOptions, Taken } from '@busgate/layer/driver';
import type { Demand } from '../queue-form.ts';
import type { Queues } from '../queues.ts';
import type { ChannelsFormat } from '../url.ts';
import type { DjangoMessage } from './messages.ts';
import type { ChannelsNames } from './names.ts';
import type { Ring } from './ring.ts';

/** Where what arrives goes. */
interface Arrivals {
  group(name: string, message: DjangoMessage): void;
  channel(name: string, message: DjangoMessage): void;
  /** What was sent to the group may be lost. */
  gap(group: string): void;
  undecodable(where: string): void;
}

/** What a wire needs. */
export interface WireContext {
  readonly ring: Ring;
  readonly queues: Queues;
  readonly names: ChannelsNames;
  readonly format: ChannelsFormat;
  readonly options: ResolvedOptions;
  readonly arrivals: Arrivals;
}

/** What differs between the two layers of channels_redis, which do not speak to each other. */
export interface Wire {
  /** Begins to take what is for channels of this process. */
  start(): Promise<void>;
  joinGroup(group: string): Promise<void>;
  leaveGroup(group: string): Promise<void>;
  groupSend(group: string, message: DjangoMessage): Promise<void>;
  /** False where the channel is full. */
  send(channel: string, message: DjangoMessage): Promise<boolean>;
  pop(queue: string, demand: Demand, signal: AbortSignal): Promise<readonly Taken[]>;
  addMember(group: string, queue: string): Promise<void>;
  removeMember(group: string, queue: string): Promise<void>;
  /** Everything of this prefix was removed, memberships of this process too. */
  flushed(): void;
  close(): Promise<void>;
}
