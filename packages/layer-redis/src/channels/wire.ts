import type { Capabilities, ResolvedOptions, Taken } from '@busgate/layer/driver';
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
  /** So many messages for processes that do not keep up were dropped. */
  dropped(messages: number): void;
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

/** Why neither has a history, nor what else Busgate's own formats have. */
export const LACKS = {
  history: 'channels_redis keeps none',
  publishIds: 'channels_redis keeps none',
  sendOptions: 'a message of channels_redis has no time and no id of its own',
  leases: 'a message of channels_redis has no id of its own',
} as const;

/** What became of a message to a group in the worker queues that are members of it. */
export interface ToWorkers {
  readonly queues: number;
  /** How many of them were full. */
  readonly full: number;
}

/** What differs between the two layers of channels_redis, which do not speak to each other. */
export interface Wire {
  /** What it can, besides what both can. */
  readonly capabilities: Pick<Capabilities, 'roomOrder' | 'queues' | 'lacks' | 'sendsToWorkers' | 'waitsForProcesses'>;
  /** Begins to take what is for channels of this process. */
  start(): Promise<void>;
  joinGroup(group: string): Promise<void>;
  leaveGroup(group: string): Promise<void>;
  groupSend(group: string, message: DjangoMessage): Promise<ToWorkers>;
  /** False where the channel is full. */
  send(channel: string, message: DjangoMessage): Promise<boolean>;
  pop(queue: string, demand: Demand, signal: AbortSignal): Promise<readonly Taken[]>;
  addMember(group: string, queue: string): Promise<void>;
  removeMember(group: string, queue: string): Promise<void>;
  /** False where the membership was ended, and not lost. */
  renewMember(group: string, queue: string, leftMs: number): Promise<boolean>;
  /** Removes all messages and memberships of this prefix; processes go on listening to their groups. */
  flush(): Promise<void>;
  close(): Promise<void>;
}
