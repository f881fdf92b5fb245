import type { LayerOptions, Message } from '../contract.ts';
import type { Driver, DriverContext } from '../driver/driver.ts';
import type { ChannelLayer } from '../layer.ts';

/** What the suite needs of a test runner: vitest's, node:test's and Jest's functions fit as they are. */
export interface Runner {
  readonly describe: (title: string, body: () => void) => unknown;
  readonly test: (title: string, body: () => Promise<void>) => unknown;
}

/** A layer in a process of its own, which can be held up. */
export interface Elsewhere extends AsyncDisposable {
  receive(channel: string): Promise<Message>;
  /** Its event loop stands still for so long; resolves when it does. */
  block(ms: number): Promise<void>;
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
}

/** A layer under test. */
export interface Subject {
  readonly name: string;
  /** Opens one more layer on the same broker, as another process would. The options come from the suite and are to be passed on as they are. */
  open(options: LayerOptions): Promise<ChannelLayer>;
  /** Publishes on a topic (as `layer.replyTopic` names it) with nothing but the broker's own client. Without it, what other programs publish is not tested. */
  publishRaw?(topicName: string, payload: Uint8Array): Promise<void>;
  /** Opens one more layer in a process of its own. Without it, what becomes of a process that is held up is not tested. */
  elsewhere?(options: LayerOptions): Promise<Elsewhere>;
  /** Makes the driver alone, whose answers are then held back or lost on their way to the layer. Without it, what becomes of such calls is not tested. */
  createDriver?(context: DriverContext): Driver | Promise<Driver>;
}
