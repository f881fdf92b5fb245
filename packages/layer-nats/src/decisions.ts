import { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import type { BrokerTime } from './broker-clock.ts';
import { JS, JetStreamError, isJetStream } from './errors.ts';
import { EXPECTED_LAST, headerOf, type JetStream, type StoredMessage } from './jetstream.ts';
import type { Session } from './session.ts';

type Settings = Readonly<Record<string, unknown>>;

/** Header: the settings that were decided, as JSON in base64. */
const SETTINGS = 'Busgate-Settings';
/** A decision is good for those who decide within this time of the broker's clock; a stream that is made anew later is another one. */
const GOOD_FOR_MS = 2000;
/** What another process has decided may still be on its way to the servers. */
const LOOK_AGAIN_MS = 20;

/**
 * How a stream is made, or what its new epoch is, where several processes do it at once, as a fleet does that starts: in a cluster two that are told
 * different settings, such as a random epoch, both may be taken, which leaves servers of 2.9 with a stream that they cannot start with. The first who keeps
 * a message under the subject has decided for all.
 */
export async function decide(
  { jetStream, brokerTime }: { readonly jetStream: JetStream; readonly brokerTime: BrokerTime },
  session: Session,
  { stream, subject }: { readonly stream: string; readonly subject: string },
  own: Settings,
): Promise<Settings> {
  const before = await jetStream.message(session, stream, { last_by_subj: subject });
  if (before !== undefined && (await brokerTime(session)) - before.time < GOOD_FOR_MS) return settingsOf(before) ?? own;
  const settings = Buffer.from(JSON.stringify(own)).toString('base64');
  try {
    await jetStream.store(session, subject, new Uint8Array(0), {
      [SETTINGS]: settings,
      [EXPECTED_LAST]: `${before?.seq ?? 0}`,
    });
    return own;
  } catch (error) {
    if (!isJetStream(error, JS.wrongLastSequence, JS.wrongLastSequenceSoon)) throw error;
  }
  return (await othersDecision(jetStream, session, stream, { subject, after: before?.seq })) ?? own;
}

async function othersDecision(
  jetStream: JetStream,
  session: Session,
  stream: string,
  { subject, after }: { readonly subject: string; readonly after: number | undefined },
): Promise<Settings | undefined> {
  for (let waited = 0; waited < GOOD_FOR_MS; waited += LOOK_AGAIN_MS) {
    const theirs = await jetStream.message(session, stream, { last_by_subj: subject });
    if (theirs !== undefined && theirs.seq !== after) return settingsOf(theirs);
    await delay(LOOK_AGAIN_MS);
  }
  throw new JetStreamError('make a stream', { description: `another process has begun to, and has not said how on ${subject}` });
}

function settingsOf(decision: StoredMessage): Settings | undefined {
  const encoded = headerOf(decision, SETTINGS);
  return encoded === undefined ? undefined : (JSON.parse(Buffer.from(encoded, 'base64').toString()) as Settings);
}
