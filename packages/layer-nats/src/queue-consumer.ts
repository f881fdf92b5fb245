import { LONGEST_EXPIRY_MS } from '@busgate/layer/driver';
import type { BrokerClock } from './broker-clock.ts';
import { JS, isJetStream } from './errors.ts';
import { nanoseconds, type JetStream, type StreamConfig } from './jetstream.ts';
import { REQUEST_TIMEOUT_MS, type Session } from './session.ts';

/** How long a request for messages stands with the server; then it is made again, which shows that both are alive. */
export const LONGEST_PULL_MS = 5000;
/** The same where nobody takes the consumer over when its server dies, so that readers must find out. */
const LONE_PULL_MS = 2000;
/** A message that waits for longer than this, while somebody asks for messages, is not seen by the consumer; that is looked at as often. */
export const BLIND_MS = 2 * REQUEST_TIMEOUT_MS;
/**
 * Where taking a message out of the stream decides whose it is, what nobody has taken out by then is handed out again: a reader may have died, what is given
 * back while others give up is lost by servers before 2.10, and what was on its way to one who gave up is lost in a cluster, whose next reader waits for it.
 */
export const HANDED_AGAIN_MS = 2000;
/** A consumer that nobody asked for messages for this long is removed by the server. */
const INACTIVE_MS = 300_000;

/** How a queue is read through its consumer. */
export interface Consuming {
  /** How long a message lives that does not say it itself. */
  readonly ageMs: number;
  /** How long a request for messages stands, at most. */
  readonly pullMs: number;
  /** Whether one server alone keeps the consumer. */
  readonly lone: boolean;
  /** Whether a message is settled by taking it out of the stream, which the servers do once, rather than by acknowledging it to the consumer. */
  readonly byRemoval: boolean;
}

/**
 * Makes a queue's consumer, or finds it as it should be.
 *
 * Its acknowledgements are what at most once rests on: the consumer is kept by as many servers as the stream, and waits for them as long as a message
 * lives, so that what a dead reader was handed is never handed out again. Servers before 2.10 forget them when they are killed: there a message is taken
 * out of the stream instead. So such a consumer need not last. In a cluster one server keeps it, in memory, where it is made at once, while the three
 * would elect a leader for half a second; and since each of the three would let go of what is acknowledged by itself, the stream's leader might have
 * lost a message by the time a reader asks it to take that message out. What nobody has taken out in time is handed out again.
 */
export async function makeConsumer(
  { jetStream, stream, consumer, subject }: { readonly jetStream: JetStream; readonly stream: string; readonly consumer: string; readonly subject: string },
  session: Session,
  { max_age, num_replicas }: StreamConfig,
): Promise<Consuming> {
  const byRemoval = !session.connection.facts.keepsAcknowledgements;
  // A stream that others have made may let its messages live for ever.
  const age = max_age > 0 ? max_age : nanoseconds(LONGEST_EXPIRY_MS);
  const config = {
    ack_policy: 'explicit',
    ack_wait: byRemoval ? Math.min(age, nanoseconds(HANDED_AGAIN_MS)) : age,
    deliver_policy: 'all',
    filter_subject: subject,
    replay_policy: 'instant',
    max_ack_pending: 100_000,
    inactive_threshold: nanoseconds(INACTIVE_MS),
  };
  const lone = byRemoval && num_replicas > 1 && (await madeLone(jetStream, session, { stream, consumer }, config));
  if (!lone) await jetStream.durableConsumer(session, stream, consumer, config);
  return { ageMs: age / 1e6, pullMs: lone ? LONE_PULL_MS : LONGEST_PULL_MS, lone, byRemoval };
}

/**
 * Removes a consumer that one server keeps where it does not hand out what the stream has: that server's copy of the stream may have stayed behind, after
 * a restart for ever. True where it did.
 */
export async function removeBlind(
  {
    jetStream,
    stream,
    consumer,
    subject,
    clock,
  }: { readonly jetStream: JetStream; readonly stream: string; readonly consumer: string; readonly subject: string; readonly clock: BrokerClock },
  session: Session,
): Promise<boolean> {
  const oldest = await jetStream.message(session, stream, { seq: 1, next_by_subj: subject });
  if (oldest === undefined || clock.now() - oldest.time < BLIND_MS) return false;
  await jetStream.removeConsumer(session, stream, consumer);
  return true;
}

/** False where a newer server that leads the cluster demands that the consumer has as many copies as its stream, as while a cluster is moved to a newer version. */
async function madeLone(
  jetStream: JetStream,
  session: Session,
  { stream, consumer }: { readonly stream: string; readonly consumer: string },
  config: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  try {
    await jetStream.loneConsumer(session, stream, consumer, { ...config, num_replicas: 1, mem_storage: true });
    return true;
  } catch (error) {
    if (isJetStream(error, JS.replicasDiffer)) return false;
    throw error;
  }
}
