import type { HistoryPage } from './driver/driver.ts';
import { formatPosition, type Position } from './position.ts';
import { indexAfter, type KeptMessage } from './recent-messages.ts';

/** What somebody wants to know of a history. */
export interface ReadQuestion {
  /** What followed this position; where that is not all kept, and `orOldest`, what is. */
  readonly after?: Position | undefined;
  readonly orOldest?: boolean;
  /** Without `after`: the newest so many. */
  readonly last?: number;
}

export interface ReadAnswer {
  readonly epoch: string;
  /** Where the history stands. */
  readonly head: number;
  /** Whether the messages are all that followed `after`. */
  readonly complete: boolean;
  /** Oldest first; of all who asked. */
  readonly messages: readonly KeptMessage[];
  /** Where those begin that were asked for. */
  readonly first: number;
}

interface WaitingRead {
  readonly question: ReadQuestion;
  resolve(answer: ReadAnswer): void;
  reject(error: unknown): void;
}

/** A page, and each message of it made once, however many are given it. */
export interface ReadPage {
  readonly epoch: string;
  readonly head: number;
  readonly complete: boolean;
  readonly messages: readonly KeptMessage[];
}

export interface SharedReadsEvents {
  /** An answer that is known without reading. */
  known(question: ReadQuestion): ReadAnswer | undefined;
  /** What followed `after` was read. */
  read(after: Position, page: ReadPage): void;
  /** All have their answer. */
  idle(): void;
}

/** How much further back each reading goes that has not found enough messages: offsets may leave numbers out. */
const FURTHER = 8;

/**
 * The readings of one room's history: one is under way at a time, for all who asked before it began. So thousands who come back at once, each with a position of
 * their own, ask the broker a few times.
 */
export class SharedReads {
  readonly #read: (after?: Position) => Promise<HistoryPage>;
  readonly #events: SharedReadsEvents;
  #asked: WaitingRead[] = [];
  #reading = false;

  constructor(read: (after?: Position) => Promise<HistoryPage>, events: SharedReadsEvents) {
    this.#read = read;
    this.#events = events;
  }

  ask(question: ReadQuestion): Promise<ReadAnswer> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ question, resolve, reject });
      if (!this.#reading) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#reading = true;
    // Whoever asks in the same turn is served by the first reading.
    await Promise.resolve();
    while (this.#asked.length > 0) {
      const asked = this.#unknown(this.#asked);
      this.#asked = [];
      if (asked.length === 0) continue;
      try {
        await this.#answer(asked);
      } catch (error) {
        for (const one of asked) one.reject(error);
      }
    }
    this.#reading = false;
    this.#events.idle();
  }

  /** Those whose answer is not known by now. */
  #unknown(asked: readonly WaitingRead[]): readonly WaitingRead[] {
    return asked.filter((one) => {
      const answer = this.#events.known(one.question);
      if (answer !== undefined) one.resolve(answer);
      return answer === undefined;
    });
  }

  async #answer(asked: readonly WaitingRead[]): Promise<void> {
    const first = asked.find(({ question }) => question.after !== undefined)?.question.after;
    const page = await this.#page(first === undefined ? undefined : { epoch: first.epoch, offset: lowest(asked, first.epoch) });
    const { epoch, head } = page;
    const [following, others] = partition(asked, ({ question: { after } }) => after?.epoch === epoch && after.offset <= head);
    const covers = first?.epoch === epoch || following.length === 0;
    const ofAll = covers ? page : await this.#page({ epoch, offset: lowest(following, epoch) });
    // The broker lost what it had between two readings: the second one says nothing of what there is in its epoch.
    if (ofAll.epoch !== epoch) return this.#answer(asked);
    await this.#answerFollowing(following, ofAll);
    await this.#answerOthers(others, page);
  }

  /** Those of the page's epoch. Whether a position has all that followed it is alike for all after the first that has. */
  async #answerFollowing(asked: readonly WaitingRead[], page: ReadPage): Promise<void> {
    const oldest = page.messages[0]?.offset ?? page.head;
    const isWhole = ({ question }: WaitingRead): boolean => page.complete || offsetOf(question) >= oldest;
    const [whole, unsure] = partition(asked, isWhole);
    for (const one of whole) one.resolve(following(one.question, page, true));
    const inOrder = unsure.toSorted((a, b) => offsetOf(a.question) - offsetOf(b.question));
    let [low, high] = [0, inOrder.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const again = await this.#page({ epoch: page.epoch, offset: offsetOf((inOrder[middle] as WaitingRead).question) });
      if (again.complete) high = middle;
      else low = middle + 1;
    }
    for (const [index, one] of inOrder.entries()) one.resolve(following(one.question, page, index >= low));
  }

  /** Those of another epoch, or beyond its end, or who ask for the newest alone. */
  async #answerOthers(asked: readonly WaitingRead[], { epoch, head }: ReadPage): Promise<void> {
    const oldest = asked.some(({ question }) => question.orOldest === true) ? await this.#page({ epoch, offset: 0 }) : undefined;
    const most = Math.max(0, ...asked.map(({ question }) => (question.after === undefined ? (question.last ?? 0) : 0)));
    const newest = most > 0 ? (oldest ?? (await this.#newest(epoch, head, most))) : undefined;
    const read = oldest ?? newest;
    if (read !== undefined && read.epoch !== epoch) return this.#answer(asked);
    const nothing: ReadAnswer = { epoch, head, complete: false, messages: [], first: 0 };
    for (const one of asked) one.resolve(otherAnswer(one.question, nothing, oldest, newest));
  }

  async #newest(epoch: string, head: number, count: number): Promise<ReadPage> {
    for (let back = count; ; back *= FURTHER) {
      const page = await this.#page({ epoch, offset: Math.max(0, head - back) });
      if (page.messages.length >= count || !page.complete || back >= head) return page;
    }
  }

  async #page(after?: Position): Promise<ReadPage> {
    const { epoch, head, complete, messages } = await this.#read(after);
    const page: ReadPage = {
      epoch,
      head: Math.max(head, messages.at(-1)?.offset ?? 0),
      complete,
      messages: messages.map(({ offset, payload }) => ({ offset, message: { payload, position: formatPosition({ epoch, offset }) } })),
    };
    if (after !== undefined) this.#events.read(after, page);
    return page;
  }
}

function lowest(asked: readonly WaitingRead[], epoch: string): number {
  let offset = Infinity;
  for (const { question } of asked) if (question.after?.epoch === epoch) offset = Math.min(offset, question.after.offset);
  return offset;
}

function following(question: ReadQuestion, page: ReadPage, complete: boolean): ReadAnswer {
  return { ...page, complete, first: indexAfter(page.messages, offsetOf(question)) };
}

function otherAnswer({ after, last = 0, orOldest = false }: ReadQuestion, nothing: ReadAnswer, oldest?: ReadPage, newest?: ReadPage): ReadAnswer {
  if (after !== undefined) return orOldest && oldest !== undefined ? { ...oldest, complete: false, first: 0 } : nothing;
  return newest === undefined || last === 0 ? nothing : { ...newest, first: Math.max(0, newest.messages.length - last) };
}

function offsetOf({ after }: ReadQuestion): number {
  return after?.offset ?? 0;
}

function partition(asked: readonly WaitingRead[], belongs: (one: WaitingRead) => boolean): [WaitingRead[], WaitingRead[]] {
  return [asked.filter(belongs), asked.filter((one) => !belongs(one))];
}
