import { Patience } from '@busgate/layer/driver';
import type { Arrival } from './connection.ts';
import { unanswered } from './errors.ts';
import { nanoseconds, type ConsumerInfo, type JetStream, type StreamInfo } from './jetstream.ts';
import { REQUEST_TIMEOUT_MS, outcome, type Session } from './session.ts';

/** Bytes asked for at a time, so that a large history does not choke the connection. */
const PAGE_BYTES = 8 * 1_048_576;
const INACTIVE_MS = 10_000;
/** How many consumers are made until one is on the server that leads the stream. */
const PLACINGS = 12;

/** A message of a stream. */
export interface PagedMessage {
  readonly offset: number;
  /** Milliseconds of the broker's clock. */
  readonly time: number;
  readonly payload: Uint8Array;
}

/** What is to be read of a stream. */
export interface Stretch {
  readonly from: number;
  /** What comes after it may be read too. */
  readonly to: number;
  /** Without it all subjects. */
  readonly subject?: string;
  /** Messages asked for at a time. */
  readonly page: number;
}

/**
 * Reads a stretch of a stream in order, through a consumer on the server that leads it. `take` is given each message, in memory of whatever it came in, and ends the reading by
 * answering false. Resolves with false where no consumer was placed on that server, as when another one leads the stream by now: then nothing was read.
 */
export async function readStretch(
  jetStream: JetStream,
  session: Session,
  stream: StreamInfo,
  stretch: Stretch,
  take: (kept: PagedMessage, arrival: Arrival) => boolean,
): Promise<boolean> {
  const { name } = stream.config;
  const consumer = await consumerAtLeader(jetStream, session, stream, stretch);
  if (consumer === undefined) return false;
  let last = 0;
  let goesOn = true;
  const takeNext = (kept: PagedMessage, arrival: Arrival): void => {
    last = kept.offset;
    goesOn = goesOn && take(kept, arrival);
  };
  try {
    for (let pending = consumer.num_pending; pending > 0 && last < stretch.to && goesOn;) {
      pending = await readPage(jetStream, session, { stream: name, consumer: consumer.name, page: stretch.page }, takeNext);
    }
  } finally {
    jetStream.dropConsumer(session, name, consumer.name);
  }
  return true;
}

/** Servers place a consumer at random. */
async function consumerAtLeader(
  jetStream: JetStream,
  session: Session,
  { config: { name }, cluster }: StreamInfo,
  { from, subject }: Stretch,
): Promise<ConsumerInfo | undefined> {
  for (let placed = 0; placed < PLACINGS; placed += 1) {
    const consumer = await jetStream.ephemeralConsumer(session, name, {
      ack_policy: 'none',
      deliver_policy: 'by_start_sequence',
      opt_start_seq: from,
      ...(subject === undefined ? {} : { filter_subject: subject }),
      replay_policy: 'instant',
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: nanoseconds(INACTIVE_MS),
    });
    // One that is in no cluster is where its stream is, though servers from 2.10 on say of that who leads it.
    if (consumer.cluster === undefined || consumer.cluster.leader === cluster?.leader) return consumer;
    jetStream.dropConsumer(session, name, consumer.name);
  }
  return undefined;
}

/** Resolves with how many are left. */
async function readPage(
  jetStream: JetStream,
  session: Session,
  { stream, consumer, page }: { readonly stream: string; readonly consumer: string; readonly page: number },
  take: (kept: PagedMessage, arrival: Arrival) => void,
): Promise<number> {
  const { promise, resolve, reject } = outcome<number>();
  let left = page;
  let pending = 0;
  const patience = new Patience(REQUEST_TIMEOUT_MS, () => reject(unanswered(`reading the stream ${stream}`)));
  const channel = session.channel((arrival) => {
    if (arrival.status !== 0) {
      // Larger than the page allows what is left over stays for the next one; anything else is the end.
      resolve(arrival.status === 409 && left < page ? Math.max(pending, 1) : 0);
      return;
    }
    const message = readKept(arrival);
    take(message, arrival);
    pending = message.pending;
    left -= 1;
    if (left === 0 || pending === 0) resolve(pending);
  });
  const forget = session.onEnd(reject);
  try {
    const maxBytes = Math.max(PAGE_BYTES, 2 * session.connection.facts.maxPayload);
    jetStream.pull(session, stream, consumer, { batch: page, no_wait: true, max_bytes: maxBytes }, `${channel.reply}.1`);
    return await promise;
  } finally {
    patience.end();
    forget();
    channel.end();
  }
}

function readKept({ reply, payload }: Arrival): PagedMessage & { readonly pending: number } {
  const tokens = reply.split('.');
  const from = tokens.length >= 11 ? 6 : 4;
  return { offset: Number(tokens[from + 1]), time: Number(tokens[from + 3]) / 1e6, payload, pending: Number(tokens[from + 4]) };
}
