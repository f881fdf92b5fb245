import { LayerError } from '@busgate/layer/driver';

export function away(why: string): LayerError {
  return new LayerError('LAYER_AWAY', `NATS cannot be reached: ${why}`);
}

/** What was written when the connection broke. */
export function unanswered(why: string): LayerError {
  return new LayerError('OUTCOME_UNKNOWN', `NATS has not answered what was sent: ${why}`);
}

export function forbidden(operation: 'publish' | 'subscribe', subject: string): LayerError {
  return new LayerError('REFUSED', `NATS does not permit this user to ${operation} ${operation === 'publish' ? 'on' : 'to'} ${subject}`);
}

/** What JetStream itself answered that it has not done. */
export class JetStreamError extends LayerError {
  readonly jetStreamCode: number;

  constructor(what: string, answer: { err_code?: number; description?: string }) {
    super('LAYER_AWAY', `JetStream could not ${what}: ${answer.description ?? 'no reason given'}; nothing was done`);
    this.jetStreamCode = answer.err_code ?? 0;
  }
}

/** Codes of JetStream's errors that mean something to us. */
export const JS = {
  /** Ours: nobody listens where JetStream should. */
  nobody: -1,
  noSuchMessage: 10_037,
  notEnabled: 10_076,
  notEnabledForAccount: 10_039,
  noSuchStream: 10_059,
  noSuchConsumer: 10_014,
  streamNameInUse: 10_058,
  subjectsOverlap: 10_065,
  tooManyReplicas: 10_074,
  noSuitablePeers: 10_005,
  queueFull: 10_077,
} as const;

export function isJetStream(error: unknown, ...codes: readonly number[]): error is JetStreamError {
  return error instanceof JetStreamError && codes.includes(error.jetStreamCode);
}
