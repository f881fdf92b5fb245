import type { ChannelLayer } from '@busgate/layer';

/** What of the layer a handler can use. */
export type ConsumerLayer = Pick<
  ChannelLayer,
  'newChannel' | 'closeChannel' | 'receive' | 'send' | 'groupAdd' | 'groupDiscard' | 'groupSend' | 'publish' | 'subscribe'
>;

/** Where handlers tell their operator what failed. */
export interface ConsumerLog {
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** What went wrong with handlers, counted by what runs them. */
export interface ConsumerCounts {
  /** Handlers that threw, or left behind something that failed. */
  failed: number;
  /** Messages for a consumer whose type its table does not name. */
  unhandled: number;
}

/** What all handlers of a process share. */
export interface ConsumerContext {
  readonly layer: ConsumerLayer;
  readonly log: ConsumerLog;
  readonly counts: ConsumerCounts;
}
