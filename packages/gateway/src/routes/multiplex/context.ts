import type { Counters } from '../../counters.ts';
import type { Hub } from '../../hub.ts';
import type { Inbound } from '../../inbound.ts';
import type { ReadRates } from '../../limits/pace.ts';
import type { AskLimits } from '../../limits/quota.ts';
import type { Log } from '../../log.ts';
import type { Memory } from '../../memory/memory.ts';
import type { Authority } from '../../auth/authority.ts';
import type { Rights } from '../../auth/rights.ts';
import type { Session } from '../../session/session.ts';
import type { Polls } from '../polls.ts';
import type { Uplinks } from '../uplinks.ts';

interface MultiplexLimits {
  /** Bytes of a frame, and of the payload in it. */
  readonly frame: number;
  readonly message: number;
  /** Rooms of one session. */
  readonly rooms: number;
  /** Errors of one session in a minute. */
  readonly errors: number;
}

export interface MultiplexContext {
  readonly hub: Hub;
  readonly counters: Counters;
  readonly polls: Polls;
  readonly uplinks: Uplinks;
  readonly log: Log;
  readonly limits: MultiplexLimits;
  /** How fast frames of one session are taken, where they come in requests; and how often one may ask for something. */
  readonly reads: ReadRates;
  readonly asks: AskLimits;
  readonly inbound: Inbound;
  readonly memory: Pick<Memory, 'isFull'>;
  readonly rights: Rights;
  /** Who knows what a token says; undefined: nobody. */
  readonly authority: Pick<Authority, 'renew'> | undefined;
  /** What a client is told to expect between pings, in milliseconds. */
  readonly heartbeat: number;
  /** The session of this process that has this id. */
  readonly session: (id: string) => Session | undefined;
  /** Milliseconds, never going back. */
  readonly now: () => number;
}
