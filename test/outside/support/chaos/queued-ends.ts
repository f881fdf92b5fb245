import { Redis } from 'ioredis';

/** An end of a session that came into a queue. */
interface QueuedEnd {
  readonly queue: string;
  /** Microseconds of the machine's monotonic clock. */
  readonly at: number;
  /** Null where its gateway died. */
  readonly order: number | null;
}

/** From the time of day to the machine's monotonic clock, in microseconds. */
const TO_MONOTONIC = Number(process.hrtime.bigint() / 1000n) - Date.now() * 1000;

/** Which connects and ends of sessions were put into queues of a Redis, seen from the server's side. */
export class QueuedEnds implements AsyncDisposable {
  /** By path. */
  readonly #connects = new Set<string>();
  /** By path, as they came. */
  readonly #ends = new Map<string, readonly QueuedEnd[]>();
  readonly #client: Redis;
  readonly #monitor: Redis;
  /** The queue that a script has emptied, to write it anew without what has expired. */
  #rewritten: string | undefined;

  private constructor(client: Redis, monitor: Redis) {
    this.#client = client;
    this.#monitor = monitor;
    monitor.on('monitor', (time: string, [command = '', queue = '', ...elements]: readonly string[]) => {
      this.#see(command.toUpperCase(), queue, elements, Number(time) * 1_000_000 + TO_MONOTONIC);
    });
  }

  static async watch(url: string): Promise<QueuedEnds> {
    const client = new Redis(url);
    return new QueuedEnds(client, await client.monitor());
  }

  /** Paths whose connect was queued, and no end. */
  get missing(): readonly string[] {
    return [...this.#connects].filter((path) => !this.#ends.has(path));
  }

  /** Sessions with two ends, or an end without a connect: only a gateway that dies between what it holds and its connect may leave such a one. */
  get surplus(): readonly unknown[] {
    return [...this.#ends].filter(([path, ends]) => ends.filter(isTold).length !== 1 || (!this.#connects.has(path) && ends[0]?.order !== null));
  }

  /** When the end of a session last came into a queue; as {@link QueuedEnd.at}. */
  lastAt(path: string): number {
    return this.#ends.get(path)?.at(-1)?.at ?? 0;
  }

  /** Ends that nobody has taken out of the queues. */
  async left(): Promise<readonly string[]> {
    const queues = (await this.#client.keys('busgate:queue:*')).filter((key) => !key.startsWith('{'));
    const elements = await Promise.all(queues.map((queue) => this.#client.lrange(queue, 0, -1)));
    return elements.flat().filter(isEnd);
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const client of [this.#client, this.#monitor]) client.disconnect();
    return Promise.resolve();
  }

  #see(command: string, queue: string, elements: readonly string[], at: number): void {
    if (command === 'DEL') this.#rewritten = queue;
    else if (command !== 'RPUSH') this.#rewritten = undefined;
    else if (queue !== this.#rewritten) for (const element of elements) this.#take(queue, element, at);
  }

  #take(queue: string, element: string, at: number): void {
    if (element.startsWith('{"type":"websocket.connect"')) this.#connects.add((JSON.parse(element) as { readonly path: string }).path);
    if (!isEnd(element)) return;
    const { path, order } = JSON.parse(element) as { readonly path: string; readonly order: number | null };
    this.#ends.set(path, [...(this.#ends.get(path) ?? []), { queue, order, at }]);
  }
}

/** Workers put what is handed on behind other members. */
function isEnd(element: string): boolean {
  return element.includes('"type":"websocket.disconnect"');
}

/** The same end in another queue was handed on. In the same queue again, or with another order, somebody else has told it, too. */
function isTold({ queue, order }: QueuedEnd, index: number, ends: readonly QueuedEnd[]): boolean {
  const before = ends[index - 1];
  return before === undefined || before.order !== order || before.queue === queue;
}
