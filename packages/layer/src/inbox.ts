import { Buffer } from 'node:buffer';
import { Body, readAddress } from './body.ts';
import type { ProcessChannels } from './process-channels.ts';
import { SYSTEM_CLOCK, type Clock } from './clock.ts';
import type { LayerStats, SendOptions } from './contract.ts';
import type { Driver, TopicSink } from './driver/driver.ts';
import { Patience } from './driver/patience.ts';
import { LayerError, isLayerError, type LayerErrorCode } from './errors.ts';
import { isName } from './names.ts';

/** How long another process may take to answer. */
const REQUEST_TIMEOUT_MS = 5000;
/**
 * Processes have so long to come back to a broker that is back, in milliseconds: that nobody listens to a channel does not say until then that its process is gone. Their
 * attempts lie up to 2 s apart, and each may take as long.
 */
const RETURN_MS = 5000;

/** What one process asks another: to change memberships of a channel that lives there. */
export interface MembershipRequest {
  readonly op: 'add' | 'discard';
  readonly group: string;
  readonly channel: string;
}

interface Pending {
  resolve(): void;
  reject(error: LayerError): void;
  readonly patience: Patience;
}

/**
 * The topic on which this process is reached: messages for its channels, requests of other processes and the answers to its own.
 *
 * On the wire, one JSON object each: `{"$to":channel,"$with"?:SendOptions,"$message":{…}}` from a layer, `{"channel":channel, …the message}` from any program,
 * `{"$ask":MembershipRequest,"$from":process,"$id":n}` and `{"$answer":n,"$error"?:[code,message]}` between layers.
 */
export class Inbox implements TopicSink {
  readonly #process: string;
  readonly #driver: Driver;
  readonly #channels: ProcessChannels;
  readonly #stats: LayerStats;
  readonly #change: (request: MembershipRequest) => Promise<void>;
  readonly #clock: Clock;
  readonly #pending = new Map<number, Pending>();
  #asked = 0;
  /** By the monotonic clock. */
  #returnedAt = -Infinity;

  constructor(
    process: string,
    driver: Driver,
    channels: ProcessChannels,
    stats: LayerStats,
    change: (request: MembershipRequest) => Promise<void>,
    clock: Clock = SYSTEM_CLOCK,
  ) {
    this.#process = process;
    this.#driver = driver;
    this.#channels = channels;
    this.#stats = stats;
    this.#change = change;
    this.#clock = clock;
  }

  /**
   * Sends an encoded message to a channel of another process.
   * @throws LayerError CHANNEL_GONE where the broker knows that nobody is there, LAYER_AWAY where it knows no more than that nobody is back yet
   */
  async send(process: string, channel: string, message: Uint8Array, options?: SendOptions): Promise<void> {
    const how = options === undefined ? '' : `,"$with":${JSON.stringify(options)}`;
    const head = Buffer.from(`{"$to":${JSON.stringify(channel)}${how},"$message":`);
    await this.#publish(process, channel, Buffer.concat([head, message, TAIL]));
  }

  /**
   * Asks the channel's owner and waits for its answer.
   * @throws LayerError CHANNEL_GONE, LAYER_AWAY, TIMEOUT, or what the owner's own call rejected with
   */
  async ask(process: string, request: MembershipRequest): Promise<void> {
    const id = (this.#asked += 1);
    const answered = new Promise<void>((resolve, reject) => {
      const patience = new Patience(REQUEST_TIMEOUT_MS, () => this.#settle(id, timeout(request.channel)), this.#clock);
      this.#pending.set(id, { resolve, reject, patience });
    });
    const body = JSON.stringify({ $ask: request, $from: this.#process, $id: id });
    this.#publish(process, request.channel, Buffer.from(body)).catch((error: unknown) => this.#settle(id, asLayerError(error)));
    await answered;
  }

  message(payload: Uint8Array): void {
    const addressed = readAddress(payload);
    if (addressed !== undefined) this.#deliver(addressed.channel, addressed.body);
    else if (!this.#dispatch(payload)) this.#stats.undecodable += 1;
  }

  gap(): void {}

  /** The broker was away, and is back. */
  returned(): void {
    this.#returnedAt = this.#clock.now();
  }

  close(reason: LayerError): void {
    for (const id of this.#pending.keys()) this.#settle(id, reason);
  }

  #dispatch(payload: Uint8Array): boolean {
    const parsed = parse(payload);
    if (parsed === undefined) return false;
    if (typeof parsed['$answer'] === 'number') {
      this.#settle(parsed['$answer'], readError(parsed['$error']));
      return true;
    }
    if (isRequest(parsed['$ask']) && isName(parsed['$from']) && typeof parsed['$id'] === 'number') {
      void this.#answer(parsed['$ask'], parsed['$from'], parsed['$id']);
      return true;
    }
    const { $to, $message, channel } = parsed;
    if (typeof $to !== 'string') return typeof channel === 'string' && this.#deliver(channel, new Body(payload, { without: 'channel' }));
    const message = isObject($message) ? encode($message) : undefined;
    return message !== undefined && this.#deliver($to, new Body(message, { isOwn: true }), readOptions(parsed['$with']));
  }

  /** One to a channel that is not open here any more is dropped. */
  #deliver(channel: string, body: Body, options?: SendOptions): true {
    if (this.#channels.has(channel) && !this.#channels.push(channel, body, options)) this.#stats.droppedFull += 1;
    return true;
  }

  async #answer(request: MembershipRequest, from: string, id: number): Promise<void> {
    let error: [string, string] | undefined;
    try {
      await this.#change(request);
    } catch (cause) {
      const fault = asLayerError(cause);
      error = [fault.code, fault.message];
    }
    const body = JSON.stringify({ $answer: id, ...(error === undefined ? {} : { $error: error }) });
    // The asker's own timeout covers an answer that cannot be sent.
    await this.#driver.publish({ kind: 'process', name: from }, Buffer.from(body)).catch(() => undefined);
  }

  async #publish(process: string, channel: string, body: Uint8Array): Promise<void> {
    const reached = await this.#driver.publish({ kind: 'process', name: process }, body);
    if (reached !== 0) return;
    if (this.#clock.now() - this.#returnedAt < RETURN_MS)
      throw new LayerError('LAYER_AWAY', `nobody listens to channel ${channel}: its process may not be back at the broker yet`);
    throw new LayerError('CHANNEL_GONE', `nobody listens to channel ${channel}: its process is gone`);
  }

  #settle(id: number, error: LayerError | undefined): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    pending.patience.end();
    if (error === undefined) pending.resolve();
    else pending.reject(error);
  }
}

const TAIL = Buffer.from('}');

function parse(payload: Uint8Array): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString());
    return isObject(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined where it is nested deeper than the stack goes: reading goes deeper than writing. */
function encode(message: Record<string, unknown>): Buffer | undefined {
  try {
    return Buffer.from(JSON.stringify(message));
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readOptions(value: unknown): SendOptions {
  if (!isObject(value)) return {};
  const { expiryMs, id, exempt, capacity } = value;
  return {
    ...(typeof expiryMs === 'number' && expiryMs > 0 ? { expiryMs } : {}),
    ...(typeof id === 'string' ? { id } : {}),
    ...(exempt === true ? { exempt } : {}),
    ...(typeof capacity === 'number' ? { capacity } : {}),
  };
}

function isRequest(value: unknown): value is MembershipRequest {
  if (typeof value !== 'object' || value === null) return false;
  const { op, group, channel } = value as Partial<MembershipRequest>;
  return (op === 'add' || op === 'discard') && typeof group === 'string' && typeof channel === 'string';
}

function readError(value: unknown): LayerError | undefined {
  if (!Array.isArray(value)) return undefined;
  const [code, message] = value as [LayerErrorCode, string];
  return new LayerError(code, String(message));
}

function asLayerError(error: unknown): LayerError {
  return isLayerError(error) ? error : new LayerError('TIMEOUT', `the other process failed: ${String(error)}`, { cause: error });
}

function timeout(channel: string): LayerError {
  return new LayerError('TIMEOUT', `the process that owns channel ${channel} did not answer within ${REQUEST_TIMEOUT_MS} ms`);
}
