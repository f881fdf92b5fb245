import type { Message } from '@busgate/layer';

/** How an event is to be given to a worker. */
export interface EventDelivery {
  /** By which the queue knows it again: the same one is taken once, however often it is sent. */
  readonly id: string;
  /** How long it may wait unread, in milliseconds. */
  readonly expiryMs: number;
  /** The queue of the worker that has the session; undefined: the route's. */
  readonly ownQueue: string | undefined;
}

/**
 * Where the events of a route go. What is sent for one session, one event after the other, arrives in that order. Calls reject with LayerErrors.
 */
export interface Backend {
  /** Whose workers may have queues of their own, and sessions that outlive this process; undefined where nobody else reads. */
  readonly queue: string | undefined;
  send(event: Message, delivery: EventDelivery): Promise<void>;
  /** `disconnect` is what is queued should this process die: for the route's queue, whose workers know what to do with it. */
  hold(session: string, disconnect: Message): Promise<void>;
  /** Queues the session's end in the place of what was held, or nothing. False where others have spoken for it. */
  settle(session: string, disconnect: Message | undefined, ownQueue: string | undefined): Promise<boolean>;
  /** Resolves when nothing in this process is at work on what it was sent. */
  idle(): Promise<void>;
}
