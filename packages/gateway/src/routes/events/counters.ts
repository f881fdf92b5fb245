import { FORWARD_FAILURES, type ForwardFailure } from '../../forward/answers.ts';
import { REFUSALS, type ReplyRefusal } from './reply.ts';

/** Upper bounds of the buckets in which handling times are counted, in seconds. */
export const HANDLING_BUCKETS: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/**
 * Why an event that a queue had taken was never handled.
 * - `timeout`: nobody answered in time.
 * - `lost`: its worker died with it.
 * - `returned`: its worker stopped and gave it back; another one was given it anew.
 */
export type Abandonment = 'timeout' | 'lost' | 'returned';

/** What an event route has done. When it is quiet `due` = `queued` + `failed`, and `queued` = `handled` + all of `undone` + those that are in flight. */
export class EventCounters {
  /** Connects and messages that were to be given to workers. */
  due = 0;
  /** Taken by a queue. */
  queued = 0;
  /** Not taken, in the time there was. */
  failed = 0;
  handled = 0;
  readonly undone: Record<Abandonment, number> = { timeout: 0, lost: 0, returned: 0 };
  readonly timeouts = { accept: 0, handler: 0, resume: 0 };
  /** Ends of sessions that were queued. */
  disconnects = 0;
  /** Replies that were obeyed; those that were not, by reason; those of a worker that no longer has the session. */
  replies = 0;
  readonly refused: Record<ReplyRefusal, number> = Object.fromEntries(REFUSALS.map((refusal) => [refusal, 0])) as Record<ReplyRefusal, number>;
  stale = 0;
  /** Events that a backend did not handle, by reason. */
  readonly forwarding: Record<ForwardFailure, number> = Object.fromEntries(FORWARD_FAILURES.map((failure) => [failure, 0])) as Record<ForwardFailure, number>;
  /** Told how long each event took from its queue to its `done`, in seconds. */
  onHandled: (seconds: number) => void = () => undefined;

  /** One event was handled after so many milliseconds. */
  done(ms: number): void {
    this.handled += 1;
    this.onHandled(ms / 1000);
  }

  /** So many events that a queue had taken will not be handled, and so many were never taken. */
  abandoned(why: Abandonment, undone: number, unqueued: number): void {
    this.undone[why] += undone;
    this.failed += unqueued;
  }
}
