import { isLayerError, type ChannelLayer, type Listening, type Message } from '@busgate/layer';
import type { Log } from '../../log.ts';
import { DISCONNECT_LIFETIME_MS } from './event.ts';

/** The queue of a worker that has gone is read for so long, in milliseconds: gateways notice one after the other, and what each queued before is there then. */
const GATHERED_FOR_MS = 5000;
/** Errors after which it may be tried again. */
const AGAIN: ReadonlySet<string> = new Set(['LAYER_AWAY', 'OUTCOME_UNKNOWN', 'TIMEOUT']);

interface Gathering {
  readonly listening: Listening;
  looks: number;
}

/** An end of a session, and the queue of its route. */
interface LeftoverEnd {
  readonly event: Message;
  readonly shared: string;
}

/**
 * What a worker that has gone did not read of its own queue. Ends of sessions go to the others, of whom one takes leave of the session in its place; its other
 * events were lost with it.
 */
export class Leftovers {
  readonly #layer: Pick<ChannelLayer, 'listen' | 'send' | 'status'>;
  readonly #log: Log;
  readonly #looks: number;
  /** By the queue that is being read. */
  readonly #gathering = new Map<string, Gathering>();
  /** What could not be handed on for now, or may not have been. */
  #untold: LeftoverEnd[] = [];

  /** `lookMs`: how often {@link look} is called. */
  constructor(layer: Pick<ChannelLayer, 'listen' | 'send' | 'status'>, log: Log, lookMs: number) {
    this.#layer = layer;
    this.#log = log;
    this.#looks = Math.ceil(GATHERED_FOR_MS / lookMs);
  }

  /** `queue`: of the worker; `shared`: of its route. */
  gather(queue: string, shared: string): void {
    const listening = this.#layer.listen(queue, (payload) => this.#take(payload, queue, shared));
    this.#gathering.set(queue, { listening, looks: this.#looks });
  }

  /** The worker of this queue reads it again: it had only stood still. */
  leave(queue: string): void {
    const gathering = this.#gathering.get(queue);
    this.#gathering.delete(queue);
    void gathering?.listening.close();
  }

  /** To be called at regular times. */
  look(): void {
    if (this.#layer.status.state !== 'connected') return;
    for (const [queue, gathering] of this.#gathering) {
      if (gathering.looks === 0) this.leave(queue);
      else gathering.looks -= 1;
    }
    const untold = this.#untold;
    this.#untold = [];
    for (const end of untold) void this.#hand(end);
  }

  async #take(payload: Uint8Array, queue: string, shared: string): Promise<void> {
    const event = endIn(payload);
    if (event !== undefined) await this.#hand({ event: { ...event, own_queue: queue }, shared });
  }

  async #hand(end: LeftoverEnd): Promise<void> {
    // Where a worker had handed it on, its own id is known to the queue already.
    const id = `${end.event['id'] as string}:left`;
    try {
      await this.#layer.send(end.shared, end.event, { id, exempt: true, expiryMs: DISCONNECT_LIFETIME_MS });
    } catch (error) {
      // With its id it is taken once, however often it is sent.
      if (isLayerError(error) && AGAIN.has(error.code)) this.#untold.push(end);
      else this.#log.error('the end of a session could not be told to workers', { error: String(error) });
    }
  }
}

/** Anybody can write to a queue: what is no end of a session is passed over. */
function endIn(payload: Uint8Array): Message | undefined {
  try {
    const event = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString()) as Message | null;
    return event?.['type'] === 'websocket.disconnect' && typeof event['id'] === 'string' ? event : undefined;
  } catch {
    return undefined;
  }
}
