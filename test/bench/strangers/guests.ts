import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../../e2e/clients.ts';

const ROOM = 'guests';
/** Milliseconds between two messages. */
const EVERY_MS = 50;
/** The most that are opened at the same time. */
const AT_ONCE = 100;

/** Sessions of one room, which hear every message of it. */
export class Guests implements AsyncDisposable {
  readonly #clients: readonly Client[];

  private constructor(clients: readonly Client[]) {
    this.#clients = clients;
  }

  static async open(count: number, url: string, token: string): Promise<Guests> {
    const clients: Client[] = [];
    while (clients.length < count) {
      const next = Array.from({ length: Math.min(AT_ONCE, count - clients.length) }, () =>
        Client.open(`${url}/${ROOM}`, ['busgate.v1', `busgate.token.${token}`]),
      );
      clients.push(...(await Promise.all(next)));
    }
    return new Guests(clients);
  }

  /** The first one publishes until `ended`; resolves with how long each message took to each of them, in milliseconds. */
  async delays(ended: Promise<unknown>): Promise<readonly number[]> {
    const delays: number[] = [];
    const { promise: heard, resolve: allAreHeard } = Promise.withResolvers<void>();
    let due = Infinity;
    const stop = new AbortController();
    const listeners = this.#clients.map(({ socket }) => {
      const hear = (data: Buffer): void => {
        delays.push(performance.now() - Number(data));
        if (delays.length === due) allAreHeard();
      };
      socket.on('message', hear);
      return () => socket.off('message', hear);
    });
    const publishing = this.#publish(stop.signal);
    await ended;
    stop.abort();
    due = (await publishing) * this.#clients.length;
    if (delays.length === due) allAreHeard();
    await heard;
    for (const leave of listeners) leave();
    return delays;
  }

  async #publish(signal: AbortSignal): Promise<number> {
    for (let sent = 0; ; sent += 1) {
      if (signal.aborted) return sent;
      this.#clients[0]?.send(`${performance.now()}`);
      await sleep(EVERY_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client[Symbol.asyncDispose]()));
  }
}
