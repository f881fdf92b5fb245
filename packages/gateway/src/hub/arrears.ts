import type { DelayedMessage, Loss } from './loss.ts';

/** What a message that waits costs beside its bytes. */
const ENTRY_COST = 128;

/** Something that a client is told between messages. */
interface Told {
  /** Messages that were dropped just before. */
  missed: number;
  /** A gap that lies before, as the frame that tells it. */
  gap: Uint8Array | undefined;
}

/** A message that waits, among its neighbours. */
interface WaitingMessage extends Told {
  readonly message: DelayedMessage;
  next: WaitingMessage | undefined;
  back: WaitingMessage | undefined;
}

/** What leaves next, in order. */
export type Arrear = { readonly message: Uint8Array } | { readonly missed: number } | { readonly gap: Uint8Array };

/**
 * What a member of a lossy room is owed and could not be given: within its share it waits, past it something is dropped, as the room's rule says; and it is known at
 * which place how much was. Messages leave in the order in which they came.
 */
export class Arrears {
  readonly #loss: Loss;
  #first: WaitingMessage | undefined;
  #last: WaitingMessage | undefined;
  readonly #byKey: Map<string, WaitingMessage> | undefined;
  /** Behind the last message. */
  #end: Told = { missed: 0, gap: undefined };
  #messages = 0;
  #cost = 0;
  #bytes = 0;

  constructor(loss: Loss) {
    this.#loss = loss;
    this.#byKey = loss.slow === 'latest' ? new Map() : undefined;
  }

  /** Messages that wait. */
  get messages(): number {
    return this.#messages;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Nothing waits, and nothing is to be told. */
  get isEmpty(): boolean {
    return this.#first === undefined && this.#end.missed === 0 && this.#end.gap === undefined;
  }

  /** One message more, where no more than `share` bytes may wait, or one message. Answers what is dropped for it, itself where it is that. */
  add(message: DelayedMessage, share: number): readonly DelayedMessage[] {
    if (this.#loss.slow === 'newest' && this.#first !== undefined && this.#cost + costOf(message) > share) {
      this.#end.missed += 1;
      return [message];
    }
    const dropped: DelayedMessage[] = [];
    const older = this.#byKey?.get(message.key);
    if (older !== undefined) dropped.push(this.#drop(older));
    this.#append(message);
    while (this.#cost > share && this.#first !== undefined && this.#first !== this.#last) dropped.push(this.#drop(this.#first));
    return dropped;
  }

  /** Nothing of what waits is given any more. Answers what that was. */
  drop(): readonly DelayedMessage[] {
    const dropped: DelayedMessage[] = [];
    while (this.#first !== undefined) dropped.push(this.#drop(this.#first));
    return dropped;
  }

  /** A gap lies behind what waits. One that nothing has followed since the last one is the same. */
  addGap(frame: Uint8Array): void {
    this.#end.gap = frame;
  }

  /** Takes what leaves next; undefined where nothing is left. */
  take(): Arrear | undefined {
    const at = this.#first ?? this.#end;
    const { missed, gap } = at;
    if (missed > 0) {
      at.missed = 0;
      return { missed };
    }
    if (gap !== undefined) {
      at.gap = undefined;
      return { gap };
    }
    if (this.#first === undefined) return undefined;
    return { message: this.#remove(this.#first).frame };
  }

  #append(message: DelayedMessage): void {
    const entry: WaitingMessage = { ...this.#end, message, next: undefined, back: this.#last };
    if (this.#last === undefined) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
    this.#end = { missed: 0, gap: undefined };
    this.#byKey?.set(message.key, entry);
    this.#messages += 1;
    this.#bytes += message.frame.length;
    this.#cost += costOf(message);
  }

  /** What was told before it is told before the one that follows. */
  #drop(entry: WaitingMessage): DelayedMessage {
    const heir: Told = entry.next ?? this.#end;
    heir.missed += entry.missed + 1;
    heir.gap ??= entry.gap;
    return this.#remove(entry);
  }

  #remove(entry: WaitingMessage): DelayedMessage {
    const { message, next, back } = entry;
    if (back === undefined) this.#first = next;
    else back.next = next;
    if (next === undefined) this.#last = back;
    else next.back = back;
    this.#messages -= 1;
    this.#bytes -= message.frame.length;
    this.#cost -= costOf(message);
    if (this.#byKey?.get(message.key) === entry) this.#byKey.delete(message.key);
    return message;
  }
}

function costOf({ frame }: DelayedMessage): number {
  return frame.length + ENTRY_COST;
}
