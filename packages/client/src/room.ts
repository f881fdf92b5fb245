import type { Gap, RoomState } from './core/actions.ts';
import { Emitter } from './emitter.ts';
import { BusError } from './errors.ts';
import type { Message } from './message.ts';

/** Messages that wait for a reader: of a loop that is behind, or of a room that nobody listens to yet. */
const MAX_WAITING = 10_000;

export interface RoomEvents<T> extends Record<string, unknown[]> {
  message: [message: Message<T>];
  gap: [gap: Gap];
  state: [state: RoomState, error: BusError | undefined];
}

export interface PublishOptions {
  /** In a room with history: it is published once, however often it has to be sent. */
  readonly idempotent?: boolean;
}

export interface Published {
  /** Only in rooms with history. */
  readonly position?: string | undefined;
}

/** A room that the program is in. Its messages come to listeners and to loops (`for await`), and wait for the first of them. */
export interface Room<T = unknown> extends AsyncIterable<Message<T>, undefined> {
  readonly name: string;
  readonly state: RoomState;
  /** Why it was left, where that was not asked for. */
  readonly error: BusError | undefined;
  /** Answers what takes the listener off again. */
  on<Name extends 'message' | 'gap' | 'state'>(name: Name, listener: (...args: RoomEvents<T>[Name]) => void): () => void;
  /** Resolves when the gateway has taken it, with its position where the room has history; rejects with a {@link BusError}. */
  publish(value: unknown, options?: PublishOptions): Promise<Published>;
  /** Loops over the room end; where it was left for another reason they throw. */
  leave(): void;
}

/** What a room asks of its bus. */
export interface RoomOwner {
  publish(room: string, value: unknown, options: PublishOptions): Promise<Published>;
  leave(room: RoomHandle): void;
}

/** The room as its bus has it. */
export class RoomHandle<T = unknown> extends Emitter<RoomEvents<T>> implements Room<T> {
  readonly name: string;
  state: RoomState = 'joining';
  error: BusError | undefined;
  readonly #owner: RoomOwner;
  /** What came before anybody listened. */
  #waiting: Message<T>[] | undefined = [];

  constructor(name: string, owner: RoomOwner) {
    super();
    this.name = name;
    this.#owner = owner;
  }

  /** The first to listen gets what waits: in a moment, so that others may be added first. */
  override on<Name extends keyof RoomEvents<T>>(name: Name, listener: (...args: RoomEvents<T>[Name]) => void): () => void {
    if (name === 'message' && this.#waiting !== undefined) queueMicrotask(() => this.#release());
    return super.on(name, listener);
  }

  publish(value: unknown, options: PublishOptions = {}): Promise<Published> {
    return this.#owner.publish(this.name, value, options);
  }

  leave(): void {
    this.#owner.leave(this as RoomHandle);
  }

  [Symbol.asyncIterator](): AsyncGenerator<Message<T>, undefined> {
    const loop: Loop<T> = { waiting: [], wake: () => undefined };
    const off = this.on('message', (message) => {
      loop.waiting.push(message);
      loop.wake();
    });
    return this.#loop(loop, off);
  }

  receive(message: Message<T>): void {
    if (this.#waiting === undefined) return this.emit('message', message);
    this.#waiting.push(message);
    if (this.#waiting.length <= MAX_WAITING) return;
    this.#waiting = [];
    this.emit('gap', { after: 0 });
  }

  become(state: RoomState, error?: BusError): void {
    if (this.state === state || this.state === 'left') return;
    this.state = state;
    this.error = error;
    this.emit('state', state, error);
  }

  #release(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const message of waiting) this.emit('message', message);
  }

  async *#loop(loop: Loop<T>, off: () => void): AsyncGenerator<Message<T>, undefined> {
    const offState = this.on('state', () => loop.wake());
    try {
      for (;;) {
        if (loop.waiting.length > MAX_WAITING) throw new BusError('slow');
        const message = loop.waiting.shift();
        if (message !== undefined) yield message;
        else if (this.error !== undefined) throw this.error;
        else if (this.state === 'left') return undefined;
        else await new Promise<void>((resolve) => (loop.wake = resolve));
      }
    } finally {
      off();
      offState();
    }
  }
}

/** One `for await` over a room. */
interface Loop<T> {
  readonly waiting: Message<T>[];
  wake: () => void;
}
