/** What others are to be told when a process dies. */
export interface LeaseRecord {
  /** What it stands for: a name, of this lease alone. */
  readonly key: string;
  /** Of the message that is queued in its place, whoever queues it; never that of another record. As `PushOptions.id` asks for it. */
  readonly id: string;
  /** The worker queue. */
  readonly queue: string;
  readonly payload: Uint8Array;
  /** How long the message lives, once it is queued. */
  readonly expiryMs: number;
}

/** What its own process queues in the place of a record. */
export type LastMessage = Pick<LeaseRecord, 'queue' | 'payload' | 'expiryMs'>;

/**
 * - `done`
 * - `ended`: the lease was over, and others have begun to settle it: nothing was done.
 * - `missing`: the broker has no such lease or record, and nobody is known to have ended it: it lost what it had. Nothing was done.
 */
export type LeaseAnswer = 'done' | 'ended' | 'missing';

/**
 * Leases of processes, and the records in them, of which each is settled exactly once: by its own process, or by others when the lease is over. The layer
 * decides who asks when; that no two succeed is the driver's.
 *
 * What is one step for everybody:
 * - *Ended or not.* The first `settleEnded` of a lease that is over by the broker's clock marks it as ended, for good: no `renew`, `hold` or `settle` of its own
 *   process does anything from then on. Until then a lease that is over may still be renewed. The mark outlives the records by 24 h, so that a process that
 *   was frozen meets it; where it is unknown, the answer is `missing`.
 * - *A record and its message.* Who takes a record away has its message pushed, with the record's id, exempt (`PushOptions`). One script where the broker can;
 *   else the push comes first and the record goes after it, so that whoever repeats it when the process died between the two pushes an id that was seen,
 *   and nothing is doubled or lost. Where pushing says that the id was seen, and the lease has ended, somebody else was first, and the answer is `ended`; where it
 *   has not it was an earlier attempt of its own process.
 *
 * Times are by the broker's clock. Where it has none, each process counts how long it has seen no new renewal of a lease, on its own monotonic clock and
 * only while it is connected: {@link overdue} is asked every twentieth of a lease's time by each process that has one, also before it may settle those of others.
 */
export interface LeaseStore {
  /** Makes a lease, over in `ttlMs`. Its name is new, or that of a lease of this process that the broker has lost. */
  grant(lease: string, ttlMs: number): Promise<void>;
  /** Over in `ttlMs` from now. */
  renew(lease: string, ttlMs: number): Promise<LeaseAnswer>;
  /** Writes records, or writes them again. Where it rejects some of them may have been written. */
  hold(lease: string, records: readonly LeaseRecord[]): Promise<LeaseAnswer>;
  /** Takes a record away and queues `message` in its place; nothing where there is none. */
  settle(lease: string, key: string, message?: LastMessage): Promise<LeaseAnswer>;
  /** Forgets a lease of this process that has no records. */
  release(lease: string): Promise<void>;
  /** Leases that are over and have not been settled to the end. */
  overdue(): Promise<readonly string[]>;
  /**
   * Settles up to `most` records of a lease that is over, with the messages in them; resolves with how many. None: it was renewed meanwhile, or there are no more,
   * or another process goes on with it: as long as there are some it stays {@link overdue}.
   * Several processes may be at it at once.
   */
  settleEnded(lease: string, most: number): Promise<number>;
}
