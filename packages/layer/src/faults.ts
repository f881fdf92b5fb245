/**
 * Every kind of fault that a broker can have, in an operator's words; the same on Redis and NATS, and never another. Each is counted once an occurrence;
 * while the broker is away each kind once, however often it is tried.
 *
 * - `connection_lost`: a connection broke, and what answers there now, if anything, is not known to be the same: killed, restarted, a host that is gone.
 * - `cut_off`: the broker lives and ended a connection of this process: a reader too slow for its limit (`client-output-buffer-limit pubsub`;
 *   `max_pending`, `write_deadline`), or somebody's `CLIENT KILL`.
 * - `unreachable`: no connection can be made: nobody listens, no such host, a certificate that is not believed.
 * - `unresponsive`: connected, and no answer in time: stopped, cut off without a word, or far too slow.
 * - `overloaded`: it takes less than is sent; what waits has reached its bound, and a call was refused.
 * - `refused`: the credentials, or what they permit.
 * - `out_of_space`: memory or storage is full, and a write was refused.
 * - `read_only`: it lives and takes no writes: a replica, still loading, a disk that fails, too few replicas, a stream without leader.
 * - `data_lost`: it came back as another one, empty or from an old file, or a stream was deleted: what it kept may be lost, histories begin a new epoch.
 * - `moved`: another server of it goes on, and may lack the last writes: a failover, slots with another primary, a node that is gone.
 * - `partitioned`: a heartbeat of another process was missed although both were connected.
 */
export const LAYER_FAULTS = [
  'connection_lost',
  'cut_off',
  'unreachable',
  'unresponsive',
  'overloaded',
  'refused',
  'out_of_space',
  'read_only',
  'data_lost',
  'moved',
  'partitioned',
] as const;

export type LayerFault = (typeof LAYER_FAULTS)[number];
