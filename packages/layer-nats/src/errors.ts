import { LayerError, type LayerFault } from '@busgate/layer/driver';

export function away(why: string, fault?: LayerFault): LayerError {
  return new LayerError('LAYER_AWAY', `NATS cannot be reached: ${why}`, fault === undefined ? {} : { fault });
}

/** What was written when the connection broke. */
export function unanswered(why: string, fault?: LayerFault): LayerError {
  return new LayerError('OUTCOME_UNKNOWN', `NATS has not answered what was sent: ${why}`, fault === undefined ? {} : { fault });
}

export function forbidden(operation: 'publish' | 'subscribe', subject: string): LayerError {
  return new LayerError('REFUSED', `NATS does not permit this user to ${operation} ${operation === 'publish' ? 'on' : 'to'} ${subject}`, {
    fault: 'refused',
  });
}

/** The kind of fault that kept a server from being used. */
export function faultOf(error: unknown): LayerFault {
  if (error instanceof LayerError) return error.fault ?? 'connection_lost';
  return (error as { code?: string }).code?.endsWith('TIMEOUT') === true ? 'unresponsive' : 'unreachable';
}

/** What JetStream itself answered that it has not done. */
export class JetStreamError extends LayerError {
  readonly jetStreamCode: number;

  constructor(what: string, answer: { err_code?: number; description?: string }, fault: LayerFault | undefined = faultIn(answer)) {
    super('LAYER_AWAY', `JetStream could not ${what}: ${answer.description ?? 'no reason given'}; nothing was done`, fault === undefined ? {} : { fault });
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
  storeFailed: 10_077,
  replicasDiffer: 10_134,
  wrongLastSequence: 10_071,
  /** The same while what is ahead is still being kept, from 2.12 on. */
  wrongLastSequenceSoon: 10_164,
  /** In a cluster of newer servers: another message with that id is still being kept. */
  idUnderWay: 10_158,
  noResources: 10_023,
  noStorage: 10_047,
  noMemory: 10_028,
  accountFull: 10_002,
  notAvailable: 10_008,
} as const;

/** What a stream says that could not store a message for want of space; all its reasons have one code. */
const NO_SPACE = /maximum (bytes|messages) exceeded|insufficient|resource|no space/;
const FULL: readonly number[] = [JS.noResources, JS.noStorage, JS.noMemory, JS.accountFull];

/** What it says of the server that it answers so. */
function faultIn({ err_code, description = '' }: { err_code?: number; description?: string }): LayerFault | undefined {
  if (err_code === undefined) return undefined;
  if (FULL.includes(err_code) || (err_code === JS.storeFailed && NO_SPACE.test(description))) return 'out_of_space';
  return err_code === JS.notAvailable ? 'read_only' : undefined;
}

export function isJetStream(error: unknown, ...codes: readonly number[]): error is JetStreamError {
  return error instanceof JetStreamError && codes.includes(error.jetStreamCode);
}

/** Whether as many messages wait in that queue as may. */
export function isFullQueue(error: unknown): boolean {
  return isJetStream(error, JS.storeFailed) && error.message.includes('per subject');
}
