import type { Buffer } from 'node:buffer';
import type { Connection } from '../connection.ts';
import type { Batch, Demand, QueueForm } from '../queue-form.ts';
import { SCRIPTS, type Runner } from '../scripts.ts';

/** An element of a sorted set, with its place in it. */
interface Placed {
  readonly element: Buffer;
  readonly score: string;
}

/**
 * The core layer's queues; `payload` makes what a reader gets of an element. What has waited there for longer than `expiryMs` is removed before it
 * is read, as Python does it with each send; what comes while a reader waits is delivered, whatever its sender's clock said.
 */
export class SortedForm implements QueueForm<Placed> {
  readonly #expiryMs: number;
  readonly #payload: (element: Buffer) => Uint8Array;

  constructor(expiryMs: number, payload: (element: Buffer) => Uint8Array) {
    this.#expiryMs = expiryMs;
    this.#payload = payload;
  }

  async take(connection: Connection, key: string, seconds: number, { max, ahead }: Demand): Promise<Batch<Placed>> {
    const [, first, rest] = await Promise.all([
      // By its body: by its hash it would come after the others where the server has forgotten it.
      connection.run('eval', SCRIPTS.channelsLapse.body, 1, key, this.#expiryMs),
      connection.run('bzpopmin', key, seconds),
      connection.run('zpopmin', key, max + ahead - 1),
    ]);
    const popped = first as [Buffer, Buffer, Buffer] | null;
    const taken: Placed[] = popped === null ? [] : [{ element: popped[1], score: popped[2].toString() }];
    const flat = (rest as unknown[]).flat() as Buffer[];
    for (let index = 0; index < flat.length; index += 2) taken.push({ element: flat[index] as Buffer, score: String(flat[index + 1]) });
    return { elements: taken };
  }

  payload({ element }: Placed): Uint8Array {
    return this.#payload(element);
  }

  endsAt(): undefined {
    return undefined;
  }

  async giveBack(runner: Runner, key: string, elements: readonly Placed[]): Promise<boolean> {
    await runner.run('zadd', key, ...elements.flatMap(({ element, score }) => [score, element]));
    return true;
  }
}
