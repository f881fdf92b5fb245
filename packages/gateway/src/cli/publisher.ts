import { openLayer } from '@busgate/layer';
import { Client } from 'undici';
import { escapeUnsafe } from '../escape.ts';
import { reasonOf } from './reasons.ts';
import { roomUrl, type CommandTarget } from './target.ts';

/** Publishes to one room. Calls made one after the other without waiting keep their order. */
export interface Publisher {
  /** Resolves when it was accepted; rejects with the reason where it was not, or where that is not known. */
  publish(payload: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Messages under way at a time; the next one waits. */
export const MAX_IN_FLIGHT = 64;
/** A gateway that has not answered by then will not. */
const ANSWER_TIMEOUT_MS = 30_000;

export async function openPublisher(target: CommandTarget, room: string): Promise<Publisher> {
  if (target.kind === 'gateway') return new GatewayPublisher(target.url, room);
  const layer = await openLayer(target.url, target.options);
  return {
    publish: async (payload) => {
      await layer.publish(room, payload);
    },
    close: () => layer.close(),
  };
}

/** `POST /room/<room>`, pipelined on one connection. */
class GatewayPublisher implements Publisher {
  readonly #base: URL;
  readonly #path: string;
  #client: Client | undefined;

  constructor(base: URL, room: string) {
    this.#base = base;
    this.#path = roomUrl(base, room).pathname;
  }

  async publish(payload: Uint8Array): Promise<void> {
    const client = (this.#client ??= this.#connect());
    // Declared idempotent only so that the client pipelines it: see #connect for why it is never sent twice.
    const request = { path: this.#path, method: 'POST' as const, body: payload, idempotent: true, blocking: false };
    const { statusCode, headers, body } = await client.request(request).catch((error: unknown) => {
      throw new Error(`the gateway at ${this.#base.origin} did not answer: ${reasonOf(error)}`, { cause: error });
    });
    // The gateway ends this connection: what comes next takes another.
    if (headers['connection'] === 'close' && this.#client === client) this.#client = undefined;
    const answer = await body.text();
    if (statusCode !== 202) throw new Error(`the gateway at ${this.#base.origin} refused it with ${statusCode}${describe(answer)}`);
  }

  async close(): Promise<void> {
    await this.#client?.close();
  }

  /** A connection that ends takes all that was under way with it: left alone, the client would send again what may have been taken. */
  #connect(): Client {
    const client = new Client(this.#base.origin, { pipelining: MAX_IN_FLIGHT, headersTimeout: ANSWER_TIMEOUT_MS, bodyTimeout: ANSWER_TIMEOUT_MS });
    client.on('disconnect', (_url, _targets, error) => {
      if (this.#client === client) this.#client = undefined;
      void client.destroy(error);
    });
    return client;
  }
}

function describe(answer: string): string {
  try {
    const { error, message } = JSON.parse(answer) as { error?: unknown; message?: unknown };
    return typeof error === 'string' ? `, ${escapeUnsafe(error)}${typeof message === 'string' ? `: ${escapeUnsafe(message)}` : ''}` : '';
  } catch {
    return '';
  }
}
