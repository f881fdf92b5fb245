import type { ChannelLayer, Listening, Message } from '@busgate/layer';

/** An event as a worker of any language reads it. */
export interface WorkerEvent extends Message {
  readonly type: string;
  readonly session: string;
  readonly order: number;
  readonly lease: number;
  readonly reply_channel: string;
}

/** A worker that does nothing by itself: the test reads its events and says what it replies. */
export class TestWorker implements AsyncDisposable {
  readonly events: WorkerEvent[] = [];
  readonly #layer: ChannelLayer;
  readonly #listening: Listening;
  readonly #waiting = new Set<() => void>();
  #seen = 0;

  constructor(layer: ChannelLayer, queue: string) {
    this.#layer = layer;
    this.#listening = layer.listen(
      queue,
      (payload) => {
        this.events.push(JSON.parse(Buffer.from(payload).toString()) as WorkerEvent);
        for (const resolve of this.#waiting) resolve();
        this.#waiting.clear();
      },
      { messages: 10_000 },
    );
  }

  /** The next event that has not been looked at. */
  async next(): Promise<WorkerEvent> {
    for (;;) {
      const event = this.events[this.#seen];
      if (event !== undefined) {
        this.#seen += 1;
        return event;
      }
      await new Promise<void>((resolve) => void this.#waiting.add(resolve));
    }
  }

  /** To the session of this event. */
  async reply({ reply_channel: channel }: WorkerEvent, reply: Message): Promise<void> {
    await this.#layer.send(channel, reply);
  }

  /** Takes the next event, which must be a connect, and accepts it. */
  async accept(reply: Message = {}): Promise<WorkerEvent> {
    const event = await this.next();
    if (event.type !== 'websocket.connect') throw new Error(`the event is ${event.type}`);
    await this.reply(event, { type: 'websocket.accept', done: event.order, lease: event.lease, ...reply });
    return event;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening.close();
  }
}
