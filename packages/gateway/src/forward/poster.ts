import { type Answered, Outgoing } from '../outgoing.ts';

/** Bytes of an answer. */
const MAX_ANSWER = 1_048_576;

/** Posts JSON to one URL, as many at a time as it has connections, and follows no redirect. */
export class Poster {
  readonly #outgoing: Outgoing;

  constructor(url: string, connections: number) {
    this.#outgoing = new Outgoing(url, connections, MAX_ANSWER);
  }

  /** Never rejects. `signal` ends it early, as `unreachable`. */
  post(body: string, headers: Readonly<Record<string, string>>, timeoutMs: number, signal: AbortSignal): Promise<Answered> {
    return this.#outgoing.ask({ method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body }, timeoutMs, signal);
  }

  async close(): Promise<void> {
    await this.#outgoing.close();
  }
}
