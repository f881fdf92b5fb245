/** What holds for a route's sockets. Times in milliseconds. */
export interface EventSettings {
  /** How long a worker may take to accept or refuse. */
  readonly acceptTimeout: number;
  /** How long it may take for any other event. */
  readonly handlerTimeout: number;
  /** How long a session may be without a worker. */
  readonly resumeTimeout: number;
  /** Events of one session that may be in flight. */
  readonly window: number;
  /** Whether workers say when they have handled an event; else it is handled when it is queued. */
  readonly acks: boolean;
  /** Frames of rooms that a session is in. */
  readonly frames: 'auto' | 'text' | 'binary';
  /** What a session does whose worker has died. */
  readonly onWorkerLoss: 'resume' | 'close';
}
