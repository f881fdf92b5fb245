import { Buffer } from 'node:buffer';
import { isLayerError, type DriverEvents, type LayerError } from '@busgate/layer/driver';
import type { Arrival } from './connection.ts';
import { JetStreamError, JS, away, isJetStream } from './errors.ts';
import { REQUEST_TIMEOUT_MS, type Session } from './session.ts';

/** Milliseconds as JetStream counts time; never more than a number holds exactly. */
export function nanoseconds(ms: number): number {
  return Math.min(ms * 1e6, 9e15);
}

/** What we read of a stream's configuration; the rest is passed back as it is. */
export interface StreamConfig {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly max_age: number;
  readonly max_msgs_per_subject: number;
  readonly duplicate_window?: number;
  readonly num_replicas: number;
  readonly republish?: { readonly src: string; readonly dest: string };
  readonly description?: string;
  readonly [setting: string]: unknown;
}

export interface StreamInfo {
  /** When it was made: tells it from one of the same name that was deleted. */
  readonly created: string;
  readonly config: StreamConfig;
  readonly state: {
    readonly first_seq: number;
    readonly last_seq: number;
    /** When the newest message was taken, in RFC 3339 to the nanosecond. */
    readonly last_ts: string;
    readonly subjects?: Readonly<Record<string, number>>;
    readonly bytes: number;
    readonly messages: number;
  };
  /** In a cluster: the name of the server that leads it, and the others that keep it, as the one sees them that answered. */
  readonly cluster?: { readonly leader?: string; readonly replicas?: readonly { readonly offline?: boolean; readonly active: number }[] };
}

/** Of limits, what is below 0 is none. */
export interface AccountInfo {
  readonly storage: number;
  readonly streams: number;
  readonly limits: { readonly max_storage: number; readonly max_streams: number };
}

export interface ConsumerInfo {
  readonly name: string;
  readonly num_pending: number;
  /** Handed out, and neither acknowledged nor given back. */
  readonly num_ack_pending: number;
  /** In a cluster: the name of the server that it is on. */
  readonly cluster?: { readonly leader?: string };
}

export interface StoredMessage {
  readonly subject: string;
  readonly seq: number;
  /** Milliseconds of the broker's clock. */
  readonly time: number;
  /** The same, in RFC 3339 to the nanosecond. */
  readonly timestamp: string;
  readonly headers: string;
  /** The payload in base64. */
  readonly data: string;
}

/** Header: a message is kept where it is the only one with this id within the stream's `duplicate_window`. */
export const MESSAGE_ID = 'Nats-Msg-Id';
/** Header: a message is kept where the newest one of its subject has this sequence; 0: where there is none. */
export const EXPECTED_LAST = 'Nats-Expected-Last-Subject-Sequence';

/** Where a stream put a message. */
export interface Stored {
  readonly stream: string;
  readonly seq: number;
  /** Nothing was put: it is where the first message with that id is, or was. */
  readonly duplicate?: boolean;
}

/** Leader and followers hear each other once a second. */
const SILENT_MS = 3000;
/** How long each asking of the same waits for its answer. */
const PATIENCE_MS = [500, 1000, 3500];
/** How long each asking of one server waits, until it counts as dead; the last one is short, since what it finds may just have been put right by another process. */
const LONE_PATIENCE_MS = [800, 200];
const UNAVAILABLE = `"err_code":${JS.notAvailable}`;
const LONGEST_ERROR = 1000;
const NOTHING = new Uint8Array(0);
const LOCAL = '$JS.API';

/** JetStream's requests, as JSON over NATS. What it refuses rejects with a JetStreamError, what it does not answer with OUTCOME_UNKNOWN. */
export class JetStream {
  readonly #api: string;
  readonly #fault: DriverEvents['fault'];
  /** Streams in which messages were seen. */
  readonly #filled = new WeakMap<Session, Set<string>>();

  constructor(domain: string | undefined, fault: DriverEvents['fault']) {
    this.#fault = fault;
    this.#api = domain === undefined ? LOCAL : `$JS.${domain}.API`;
  }

  /** Names this start of the server that keeps our streams; undefined where that may be any of several. */
  startOf({ connection: { facts } }: Session): string | undefined {
    return facts.jetStream && !facts.clustered && this.#api === LOCAL ? facts.id : undefined;
  }

  /** Whether queues and history can be had here: false only where that is certain. */
  async isThere(session: Session): Promise<boolean> {
    try {
      await this.#ask(session, 'INFO', undefined, 'say what it has');
      return true;
    } catch (error) {
      if (isJetStream(error, JS.notEnabled, JS.notEnabledForAccount)) return false;
      return !isJetStream(error, JS.nobody) || session.connection.facts.jetStream;
    }
  }

  /** What this account has of JetStream, and may have. */
  account(session: Session): Promise<AccountInfo> {
    return this.#ask(session, 'INFO', undefined, 'say what it has');
  }

  /** Undefined where there is no such stream. */
  stream(session: Session, name: string): Promise<StreamInfo | undefined> {
    return this.#describe(session, name);
  }

  /** The same, with the subjects of its messages that a filter lets through. */
  async streamWithSubjects(session: Session, name: string, filter: string): Promise<StreamInfo | undefined> {
    const filled = await this.#fills(session, name);
    return filled === true ? this.#describe(session, name, { subjects_filter: filter }) : filled;
  }

  /**
   * True where a stream has messages; else what it is, undefined where there is none. Servers of 2.9 die of questions about the messages of a stream in the moment in which they make it,
   * so that these are asked only where there are some.
   */
  async #fills(session: Session, name: string): Promise<true | StreamInfo | undefined> {
    const filled = this.#filled.get(session) ?? new Set();
    this.#filled.set(session, filled);
    if (filled.has(name)) return true;
    const bare = await this.#describe(session, name);
    if (bare === undefined || bare.state.bytes === 0) return bare;
    filled.add(name);
    return true;
  }

  #describe(session: Session, name: string, body?: { readonly subjects_filter: string }): Promise<StreamInfo | undefined> {
    return this.#orNone(this.#ask<StreamInfo>(session, `STREAM.INFO.${name}`, body, `describe the stream ${name}`), JS.noSuchStream);
  }

  createStream(session: Session, config: StreamConfig): Promise<StreamInfo> {
    return this.#ask(session, `STREAM.CREATE.${config.name}`, config, `create the stream ${config.name}`);
  }

  updateStream(session: Session, config: StreamConfig): Promise<StreamInfo> {
    return this.#ask(session, `STREAM.UPDATE.${config.name}`, config, `change the stream ${config.name}`);
  }

  /** Names of the streams whose subjects these may be. */
  async streamsOf(session: Session, subject: string): Promise<readonly string[]> {
    const names: string[] = [];
    for (;;) {
      const page = await this.#ask<{ total: number; streams: string[] | null }>(session, 'STREAM.NAMES', { subject, offset: names.length }, 'name its streams');
      names.push(...(page.streams ?? []));
      if (names.length >= page.total || (page.streams ?? []).length === 0) return names;
    }
  }

  /** Removes messages: all, or those with subjects of a filter, or those of them that came before a sequence. How many; none where there is no such stream. */
  async purge(session: Session, stream: string, which: { readonly filter?: string; readonly seq?: number } = {}): Promise<number> {
    const answer = this.#ask<{ purged: number }>(session, `STREAM.PURGE.${stream}`, which, `empty the stream ${stream}`);
    return (await this.#orNone(answer, JS.noSuchStream))?.purged ?? 0;
  }

  /** One message: the newest of a subject, or the oldest of it from a sequence on, or the one of that sequence. Undefined where there is none. */
  async message(
    session: Session,
    stream: string,
    which: { readonly last_by_subj: string } | { readonly seq: number; readonly next_by_subj?: string },
  ): Promise<StoredMessage | undefined> {
    if ((await this.#fills(session, stream)) !== true) return undefined;
    const answer = this.#ask<{ message: { subject: string; seq: number; time: string; hdrs?: string; data?: string } }>(
      session,
      `STREAM.MSG.GET.${stream}`,
      which,
      `read the stream ${stream}`,
    );
    const found = await this.#orNone(answer, JS.noSuchMessage, JS.noSuchStream);
    if (found === undefined) return undefined;
    const { subject, seq, time, hdrs, data = '' } = found.message;
    return { subject, seq, time: Date.parse(time), timestamp: time, headers: Buffer.from(hdrs ?? '', 'base64').toString('latin1'), data };
  }

  /** Removes one message, so that it does not come back when the server is killed. False where another was quicker. */
  deleteMessage(session: Session, stream: string, seq: number): Promise<boolean> {
    // Servers before 2.10 remember for certain only what they overwrite; those of 2.10 and later remember any removal, and overwriting takes them up to 5 ms.
    const body = session.connection.facts.keepsAcknowledgements ? { seq, no_erase: true } : { seq };
    return this.#removes(this.#askOnce(session, `STREAM.MSG.DELETE.${stream}`, body, `delete a message of ${stream}`, REQUEST_TIMEOUT_MS));
  }

  /**
   * The same for the newest one of its subject, with older ones of it, where many go at once. Servers before 2.10 remember what was purged, too, and are quicker at it, but
   * give no space back on disk before all has gone that was written beside it.
   */
  async deleteQuickly(session: Session, stream: string, { subject, seq }: Pick<StoredMessage, 'subject' | 'seq'>): Promise<boolean> {
    if (session.connection.facts.keepsAcknowledgements) return this.deleteMessage(session, stream, seq);
    const which = { filter: subject, seq: seq + 1 };
    const purge = this.#askOnce<{ purged: number }>(session, `STREAM.PURGE.${stream}`, which, `delete a message of ${stream}`, REQUEST_TIMEOUT_MS);
    return this.#removes(purge.then(({ purged }) => purged > 0));
  }

  /** Makes it, or changes it to this; no error where it is there already. */
  durableConsumer(session: Session, stream: string, name: string, config: Readonly<Record<string, unknown>>): Promise<ConsumerInfo> {
    const body = { stream_name: stream, config: { ...config, durable_name: name } };
    return this.#ask(session, `CONSUMER.DURABLE.CREATE.${stream}.${name}`, body, `create the consumer ${name}`);
  }

  consumer(session: Session, stream: string, name: string): Promise<ConsumerInfo> {
    return this.#ask(session, `CONSUMER.INFO.${stream}.${name}`, undefined, `describe the consumer ${name}`);
  }

  /** The same where one server of a cluster keeps it: when that one does not answer, the consumer is removed, so that the next attempt may find another server. */
  async loneConsumer(session: Session, stream: string, name: string, config: Readonly<Record<string, unknown>>): Promise<ConsumerInfo> {
    const body = { stream_name: stream, config: { ...config, durable_name: name } };
    try {
      return await this.#ask(session, `CONSUMER.DURABLE.CREATE.${stream}.${name}`, body, `create the consumer ${name}`, LONE_PATIENCE_MS);
    } catch (error) {
      if (session.ended === undefined && isJetStream(error, JS.nobody)) {
        this.removeConsumer(session, stream, name).catch(() => undefined);
      }
      throw error;
    }
  }

  /** Asked once, so that it cannot remove one that was made anew. A server that is dead does not answer, but the consumer goes. */
  async removeConsumer(session: Session, stream: string, name: string): Promise<void> {
    await this.#askOnce(session, `CONSUMER.DELETE.${stream}.${name}`, undefined, 'delete a consumer', REQUEST_TIMEOUT_MS);
  }

  ephemeralConsumer(session: Session, stream: string, config: Readonly<Record<string, unknown>>): Promise<ConsumerInfo> {
    return this.#ask(session, `CONSUMER.CREATE.${stream}`, { stream_name: stream, config }, `create a consumer of ${stream}`);
  }

  /** It would end by itself; this only makes it sooner. */
  dropConsumer(session: Session, stream: string, name: string): void {
    this.#ask(session, `CONSUMER.DELETE.${stream}.${name}`, undefined, 'delete a consumer').catch(() => undefined);
  }

  /** Asks for messages; they and the end of the request arrive at `reply`. */
  pull(session: Session, stream: string, consumer: string, request: Readonly<Record<string, unknown>>, reply: string): void {
    session.send(`${this.#api}.CONSUMER.MSG.NEXT.${stream}.${consumer}`, Buffer.from(JSON.stringify(request)), reply);
  }

  /**
   * Publishes what a stream is to keep; it leaves before this call returns.
   * @throws JetStreamError where it was not kept: `JS.nobody` where no server knows of a stream that takes the subject
   */
  async store(session: Session, subject: string, payload: Uint8Array, headers?: Readonly<Record<string, string>>): Promise<Stored> {
    const answer = await session.request(subject, payload, headers).catch((error: LayerError) => Promise.reject(this.#told(error, 'unresponsive')));
    if (answer.status === 503) throw new JetStreamError('keep the message', { err_code: JS.nobody, description: 'no stream takes it just now' });
    const { error, stream, seq, duplicate = false } = parse(answer.payload) as Partial<Stored> & JetStreamFailure;
    if (error !== undefined) throw this.#told(new JetStreamError('keep the message', error));
    if (stream === undefined || seq === undefined) throw new JetStreamError('keep the message', { description: 'something else answered for it' });
    // So some servers before 2.11 say it, in a cluster.
    if (seq === 0) throw new JetStreamError('keep the message', { err_code: JS.idUnderWay, description: 'another one with its id is still being kept' });
    return { stream, seq, duplicate };
  }

  /** Asks again where there is no answer: a stream in a cluster that has no leader just now does not answer, and what is asked so may be done twice. */
  async #ask<T>(session: Session, what: string, body: unknown, purpose: string, patiences: readonly number[] = PATIENCE_MS): Promise<T> {
    for (const patience of patiences) {
      try {
        return await this.#askOnce<T>(session, what, body, purpose, patience);
      } catch (error) {
        if (session.ended !== undefined || !isLayerError(error, 'OUTCOME_UNKNOWN')) throw error;
      }
    }
    throw this.#told(new JetStreamError(purpose, { err_code: JS.nobody, description: 'it does not answer, as when no leader is elected' }, 'read_only'));
  }

  async #askOnce<T>(session: Session, what: string, body: unknown, purpose: string, patience: number): Promise<T> {
    const payload = body === undefined ? NOTHING : Buffer.from(JSON.stringify(body));
    const isFinal = (arrival: Arrival): boolean => !session.connection.facts.clustered || !isUnavailable(arrival);
    const answer = await session.request(`${this.#api}.${what}`, payload, undefined, { timeoutMs: patience, isFinal });
    if (answer.status === 503) throw new JetStreamError(purpose, { err_code: JS.nobody, description: 'it is not there just now' });
    const parsed = parse(answer.payload) as T & JetStreamFailure;
    if (parsed.error !== undefined) throw this.#told(new JetStreamError(purpose, parsed.error));
    return parsed;
  }

  /** What the error says of the server is told to the operator too; `only` where the rest was told by the connection. */
  #told(error: LayerError, only = error.fault): LayerError {
    if (error.fault !== undefined && error.fault === only) this.#fault(error.fault, error.message);
    return error;
  }

  /** Whether something was removed: what JetStream refuses was not there any more. */
  async #removes(removal: Promise<unknown>): Promise<boolean> {
    try {
      return (await removal) !== false;
    } catch (error) {
      if (!(error instanceof JetStreamError) || error.jetStreamCode === JS.nobody) throw error;
      return false;
    }
  }

  async #orNone<T>(answer: Promise<T>, ...codes: readonly number[]): Promise<T | undefined> {
    try {
      return await answer;
    } catch (error) {
      if (isJetStream(error, ...codes)) return undefined;
      throw error;
    }
  }
}

/** Whether who answered leads the stream: one that was cut off and takes itself for the leader still does not. */
export function leadsMajority({ cluster }: StreamInfo): boolean {
  if (cluster === undefined) return true;
  const { leader = '', replicas = [] } = cluster;
  const heard = replicas.filter(({ offline = false, active }) => !offline && active < nanoseconds(SILENT_MS));
  return leader !== '' && 2 * (heard.length + 1) > replicas.length + 1;
}

export function headerOf({ headers }: StoredMessage, name: string): string | undefined {
  return new RegExp(`^${name}: *(.*?)\\r?$`, 'm').exec(headers)?.[1];
}

interface JetStreamFailure {
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

/** So answers a server that knows of no leader, as one does that was cut off, though there may be one that answers too. */
function isUnavailable({ payload }: Arrival): boolean {
  return payload.length < LONGEST_ERROR && Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).includes(UNAVAILABLE);
}

function parse(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString());
  } catch {
    throw away('JetStream answered what is no JSON');
  }
}
