import type { GatewayState } from './counters.ts';
import type { Hub } from './hub.ts';
import type { Inbound } from './inbound.ts';
import type { Memory } from './memory/memory.ts';
import type { Polls } from './routes/polls.ts';
import type { Outboxes } from './session/outbox.ts';
import type { Sessions } from './session/registry.ts';

/** Who knows the state of a gateway. */
export interface StateSources {
  readonly outboxes: Outboxes;
  readonly sessions: Sessions;
  readonly polls: Polls;
  readonly hub: Hub;
  readonly inbound: Inbound;
  readonly memory: Memory;
  readonly isDraining: () => boolean;
}

/** What the metrics read, at the moment at which they do. */
export function stateOf({ outboxes, sessions, polls, hub, inbound, memory, isDraining }: StateSources): GatewayState {
  return {
    settle: () => outboxes.settle(),
    get sessions() {
      return { ...sessions.counts, poll: polls.size };
    },
    get queued() {
      return outboxes.queued;
    },
    get outboxBytes() {
      return outboxes.bytes;
    },
    get inboundBytes() {
      return inbound.bytes;
    },
    get memoryUsed() {
      return memory.used;
    },
    get rooms() {
      return hub.rooms;
    },
    get replays() {
      return hub.replays;
    },
    get draining() {
      return isDraining();
    },
  };
}
