import { clockFinding, findingOf, type Finding } from '@busgate/layer/driver';
import type { AccountInfo, JetStream, StreamInfo } from './jetstream.ts';
import type { Session } from './session.ts';

/** Of a limit so much may be used before it is to be raised. */
const FULL = 0.8;

/** What is to be looked at. */
interface Examined {
  /** Bytes of one message of this layer. */
  readonly maxMessageBytes: number;
  /** Streams of this prefix that there are. */
  readonly streams: readonly string[];
  readonly keepsHistories: boolean;
  /** Milliseconds since 1970 by the server's clock. */
  readonly brokerTime: () => Promise<number>;
}

/** Looks at the server and, where it is there, at JetStream. */
export async function examine(session: Session, jetStream: JetStream | undefined, what: Examined): Promise<readonly Finding[]> {
  const payload = payloads(session.connection.facts.maxPayload, what.maxMessageBytes);
  if (jetStream === undefined) return [payload, absent(what.keepsHistories)];
  const [account, ...streams] = await Promise.all([
    findingOf('JetStream', async () => accountLimits(await jetStream.account(session))),
    ...what.streams.map((name) => findingOf(`the stream ${name}`, async () => streamLimits(name, await jetStream.stream(session, name)))),
  ]);
  const clock = await findingOf("the clock against NATS's", async () => clockFinding('NATS', (await what.brokerTime()) - Date.now()));
  return [payload, account, ...streams, clock];
}

function payloads(maxPayload: number, maxMessageBytes: number): Finding {
  const what = `max_payload is ${maxPayload}, limits.layer_message ${maxMessageBytes}`;
  if (maxPayload >= maxMessageBytes) return { state: 'ok', what };
  return {
    state: 'fix',
    what: `${what}: larger messages are refused by the server`,
    advice: `max_payload: ${maxMessageBytes} in nats.conf, and nats-server --signal reload`,
  };
}

function absent(keepsHistories: boolean): Finding {
  if (!keepsHistories) return { state: 'ok', what: 'JetStream is not there, and no history is configured that needs it' };
  return { state: 'fix', what: 'JetStream is not there, and histories need it', advice: 'nats-server -js, or jetstream {} in nats.conf' };
}

function accountLimits({ storage, streams, limits }: AccountInfo): Finding {
  const what = `JetStream: ${shareOf(storage, limits.max_storage)} of bytes, ${shareOf(streams, limits.max_streams)} of streams`;
  if (isRoomy(storage, limits.max_storage) && isRoomy(streams, limits.max_streams)) return { state: 'ok', what };
  return {
    state: 'fix',
    what: `${what}: publishes into histories and queues will be refused`,
    advice: 'raise max_file_store or the limits of the account in nats.conf',
  };
}

function streamLimits(name: string, stream: StreamInfo | undefined): Finding {
  const bytes = stream?.state.bytes ?? 0;
  const most = Number(stream?.config['max_bytes'] ?? -1);
  const what = `the stream ${name}: ${shareOf(bytes, most)} of bytes`;
  if (isRoomy(bytes, most)) return { state: 'ok', what };
  return { state: 'fix', what, advice: `nats stream edit ${name} --max-bytes=${most * 2}` };
}

function isRoomy(used: number, most: number): boolean {
  return most <= 0 || used <= most * FULL;
}

function shareOf(used: number, most: number): string {
  return most <= 0 ? `${used} of no limit` : `${used} of ${most}`;
}
