import type { LayerOptions } from '../contract.ts';
import type { ChannelLayer } from '../layer.ts';

/** What the suite needs of a test runner: vitest's, node:test's and Jest's functions fit as they are. */
export interface Runner {
  readonly describe: (title: string, body: () => void) => unknown;
  readonly test: (title: string, body: () => Promise<void>) => unknown;
}

/** A layer under test. */
export interface Subject {
  readonly name: string;
  /** Opens one more layer on the same broker, as another process would. The options come from the suite and are to be passed on as they are. */
  open(options: LayerOptions): Promise<ChannelLayer>;
  /** Publishes on a topic (as `layer.replyTopic` names it) with nothing but the broker's own client. Without it, what other programs publish is not tested. */
  publishRaw?(topicName: string, payload: Uint8Array): Promise<void>;
}
