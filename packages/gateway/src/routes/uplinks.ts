import { Buffer } from 'node:buffer';
import { type ChannelLayer, isLayerError, type Listening, type Message } from '@busgate/layer';
import { type Answer, jsonAnswer } from '../answer.ts';
import type { HttpErrorKey } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Deadlines, Timed } from '../session/deadlines.ts';
import type { RouteRequest } from './request.ts';

/** How long the gateway of a session may take to say that it has what was forwarded to it, in milliseconds. */
const ANSWER_MS = 5000;
/** The name of a gateway's process, the id of its channel, and a secret. */
const SESSION = /^([A-Za-z0-9]+)-([A-Za-z0-9]+)-[A-Za-z0-9_-]+$/;
const PREFIX = 'uplink';

type Layer = Pick<ChannelLayer, 'process' | 'newChannel' | 'closeChannel' | 'listen' | 'send' | 'lifeOf'>;

/** Whether a session has what was posted to it; else nothing of it was looked at. */
export type UplinkOutcome = 'taken' | 'no_session' | 'rate' | 'full';

/** What is posted to a session of a route, and by whom: whose session it must be. */
export interface Uplinked {
  readonly session: string;
  readonly user: string | undefined;
  readonly body: Uint8Array;
}

/** A route whose sessions are posted to. */
export interface UplinkTaker {
  take(uplinked: Uplinked): UplinkOutcome | Promise<UplinkOutcome>;
}

/** What was forwarded and is not answered, in the wheel of all deadlines. */
class ForwardedFrames implements Timed {
  dueTick = -1;
  wheelNext: Timed | undefined;
  wheelBack: Timed | undefined;
  readonly #answer = Promise.withResolvers<UplinkOutcome | 'unknown'>();

  get answer(): Promise<UplinkOutcome | 'unknown'> {
    return this.#answer.promise;
  }

  answered(outcome: UplinkOutcome): void {
    this.#answer.resolve(outcome);
  }

  onDue(): void {
    this.#answer.resolve('unknown');
  }
}

/**
 * The way up of sessions whose wire only comes down. A request may reach any gateway: a session's id begins with the address of the gateway that has it, to which what is posted is
 * forwarded over the layer.
 */
export class Uplinks {
  /** What the ids of this gateway's sessions begin with. */
  readonly address: string;
  readonly #layer: Layer;
  readonly #deadlines: Deadlines;
  readonly #log: Log;
  readonly #channel: string;
  readonly #takers = new Map<string, UplinkTaker>();
  readonly #asked = new Map<number, ForwardedFrames>();
  #listening: Listening | undefined;
  #count = 0;

  constructor(layer: Layer, deadlines: Deadlines, log: Log) {
    this.#layer = layer;
    this.#deadlines = deadlines;
    this.#log = log;
    this.#channel = layer.newChannel(PREFIX);
    this.address = `${layer.process}-${this.#channel.slice(this.#channel.indexOf('!') + 1)}`;
  }

  /** `route`: its path as the configuration has it, which is the same at all gateways. */
  add(route: string, taker: UplinkTaker): void {
    this.#takers.set(route, taker);
  }

  start(): void {
    this.#listening = this.#layer.listen(this.#channel, (payload) => this.#message(payload));
  }

  async close(): Promise<void> {
    for (const asked of this.#asked.values()) asked.onDue();
    await this.#listening?.close();
    await this.#layer.closeChannel(this.#channel).catch(() => undefined);
  }

  /** Rejects with a LayerError. */
  async post(route: string, { query, identity }: RouteRequest, body: Uint8Array): Promise<Answer | HttpErrorKey> {
    const uplinked = { session: query.get('session') ?? '', user: identity.user, body };
    const [, process, channel] = SESSION.exec(uplinked.session) ?? [];
    const isHere = process === undefined || process === this.#layer.process;
    const outcome = isHere ? await this.#take(route, uplinked) : await this.#forward(process, `${PREFIX}.${process}!${channel}`, route, uplinked);
    return outcome === 'taken' ? jsonAnswer(202, {}) : outcome;
  }

  async #take(route: string, uplinked: Uplinked): Promise<UplinkOutcome> {
    return (await this.#takers.get(route)?.take(uplinked)) ?? 'no_session';
  }

  /** Where the broker knows of nobody there, but the gateway that has the session may only be cut off, nothing is done, and the client is to try again. */
  async #forward(process: string, channel: string, route: string, { session, user, body }: Uplinked): Promise<UplinkOutcome | 'away' | 'unknown'> {
    if (this.#layer.lifeOf(process) === 'gone') return 'no_session';
    const ref = (this.#count += 1);
    const asked = new ForwardedFrames();
    this.#asked.set(ref, asked);
    this.#deadlines.set(asked, this.#deadlines.now + this.#deadlines.ticks(ANSWER_MS) + 1);
    try {
      await this.#layer.send(channel, { type: 'uplink', route, session, user: user ?? null, body, ref, reply: this.#channel });
      return await asked.answer;
    } catch (error) {
      if (isLayerError(error, 'INVALID_NAME')) return 'no_session';
      if (isLayerError(error, 'CHANNEL_GONE')) return 'away';
      throw error;
    } finally {
      this.#asked.delete(ref);
      this.#deadlines.cancel(asked);
    }
  }

  /** From another gateway: what it forwards, or its answer. */
  #message(payload: Uint8Array): void {
    const message = parse(payload);
    if (message === undefined) return;
    const { type, ref, taken } = message;
    if (type === 'uplinked' && typeof ref === 'number' && isOutcome(taken)) this.#asked.get(ref)?.answered(taken);
    else if (type === 'uplink') void this.#answer(message);
  }

  /** The other gateway's own time covers an answer that cannot be sent. */
  async #answer({ route, session, user, body, ref, reply }: Readonly<Record<string, unknown>>): Promise<void> {
    if (typeof route !== 'string' || typeof session !== 'string' || typeof ref !== 'number' || typeof reply !== 'string') return;
    const uplinked = { session, user: typeof user === 'string' ? user : undefined, body: bytesOf(body) };
    try {
      await this.#layer.send(reply, { type: 'uplinked', ref, taken: await this.#take(route, uplinked) });
    } catch (error) {
      this.#log.warn('what another gateway forwarded could not be answered', { error: String(error) });
    }
  }
}

function parse(payload: Uint8Array): Message | undefined {
  try {
    return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString()) as Message;
  } catch {
    return undefined;
  }
}

function isOutcome(value: unknown): value is UplinkOutcome {
  return value === 'taken' || value === 'no_session' || value === 'rate' || value === 'full';
}

/** As the layer sends bytes within a message. */
function bytesOf(value: unknown): Uint8Array {
  const bytes = typeof value === 'object' && value !== null && '$bytes' in value ? value.$bytes : '';
  return Buffer.from(typeof bytes === 'string' ? bytes : '', 'base64');
}
