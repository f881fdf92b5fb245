import type { ConsumerCounts } from '@busgate/consumer/run';
import type { LoopShare } from './loop-watch.ts';

/** What the handlers of a route in this process did to it. */
export class ConsumerCounters implements LoopShare {
  loopMs = 0;
  holdups = 0;
  /** Of what runs them. */
  handlers: Readonly<ConsumerCounts> = { failed: 0, unhandled: 0 };
  readonly onHoldup: (ms: number) => void;

  constructor(onHoldup: (ms: number) => void) {
    this.onHoldup = onHoldup;
  }
}
