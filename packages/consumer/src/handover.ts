import { setTimeout as sleep } from 'node:timers/promises';
import { isLayerError, type ChannelLayer, type Message } from '@busgate/layer';
import type { ConsumerLog } from './context.ts';
import type { DisconnectEvent } from './wire.ts';

/** So long another worker is listened for, before it is taken for dead, in milliseconds: more than one of its beats. */
const HEAR_MS = 3000;
/** While the broker is away it is asked again that often, in milliseconds. */
const AGAIN_MS = 250;
/** A disconnect may wait unread for so long, in milliseconds. */
const LIFETIME_MS = 86_400_000;

/** Where the worker that reads a queue says how it is; for the queue of a route, where its workers hear each other. */
export function roomOf(queue: string): string {
  return `_worker.${queue}`;
}

/** Ends of sessions that another worker has, or had: each is handed on to that worker where it lives, and else is this one's. Those of one worker are decided together. */
export class Handover {
  readonly #layer: Pick<ChannelLayer, 'subscribe' | 'send'>;
  readonly #log: ConsumerLog;
  readonly #ours: (event: DisconnectEvent) => void;
  readonly #waiting = new Map<string, DisconnectEvent[]>();
  readonly #deciding = new Set<Promise<void>>();

  /** `ours`: no other worker has the session. */
  constructor(layer: Pick<ChannelLayer, 'subscribe' | 'send'>, log: ConsumerLog, ours: (event: DisconnectEvent) => void) {
    this.#layer = layer;
    this.#log = log;
    this.#ours = ours;
  }

  /** `queue`: of the worker that has the session. */
  take(queue: string, event: DisconnectEvent): void {
    const waiting = this.#waiting.get(queue);
    if (waiting !== undefined) return void waiting.push(event);
    this.#waiting.set(queue, [event]);
    const deciding = this.#decide(queue).finally(() => this.#deciding.delete(deciding));
    this.#deciding.add(deciding);
  }

  /** Resolves when all is decided. */
  async decided(): Promise<void> {
    await Promise.all(this.#deciding);
  }

  async #decide(queue: string): Promise<void> {
    const lives = await this.#hears(queue);
    const events = this.#waiting.get(queue) ?? [];
    this.#waiting.delete(queue);
    for (const event of events) {
      if (!lives || !(await this.#handOn(queue, event))) this.#ours(event);
    }
  }

  async #hears(queue: string): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const subscription = await whileAway(() =>
      this.#layer.subscribe(roomOf(queue), (event) => {
        if (event.gap !== true) resolve(true);
      }),
    );
    const timer = setTimeout(() => resolve(false), HEAR_MS);
    const heard = await promise;
    clearTimeout(timer);
    await subscription.close();
    return heard;
  }

  /** With its id it is taken once, however often it is sent. False where that queue cannot take it. */
  async #handOn(queue: string, event: DisconnectEvent): Promise<boolean> {
    try {
      await whileAway(() => this.#layer.send(queue, event as unknown as Message, { id: event.id, exempt: true, expiryMs: LIFETIME_MS }));
      return true;
    } catch (error) {
      this.#log.warn('a worker that has a session could not be told of its end', { queue, error: String(error) });
      return false;
    }
  }
}

/** Makes the call again for as long as the broker is away: nobody can be heard then, and nobody is dead. */
export async function whileAway<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isLayerError(error, 'LAYER_AWAY') && !isLayerError(error, 'OUTCOME_UNKNOWN') && !isLayerError(error, 'TIMEOUT')) throw error;
    }
    await sleep(AGAIN_MS);
  }
}
