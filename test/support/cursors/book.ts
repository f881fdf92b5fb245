import { parsePosition } from '@busgate/layer';

/** What happened in a room, in order: its messages, and the moments at which the broker lost its history. */
type Entry = { readonly text: string; offset?: number } | 'loss';

/** A run of entries of one epoch, whose name is known from its first reading. */
interface Epoch {
  readonly begin: number;
  name?: string;
  /** Positions before this offset are too old, whatever followed them. */
  aged?: number;
}

/** What a broker had of a room at some time. */
export interface Copy {
  readonly entries: readonly Entry[];
  /** Of these so many, the oldest, may have been kept no longer. */
  readonly trimmed: number;
}

/** A place between entries: how many of them come before it; or a position that says so. */
export type Place = number | string;

/** What a room with history is to tell whoever asks, whatever the gateway: kept beside what is done to it. */
export class RoomBook {
  readonly name: string;
  readonly #size: number;
  readonly #entries: Entry[] = [];
  readonly #epochs: Epoch[] = [{ begin: 0 }];
  /** What was restored from a copy stands in more than one epoch. */
  readonly #indexesOf = new Map<string, number[]>();
  readonly #known = new Map<string, number>();
  /** Entries before this one may be kept no longer, be it in the same epoch. */
  #trimmed = 0;

  /** `size`: messages that the history keeps. */
  constructor(name: string, size: number) {
    this.name = name;
    this.#size = size;
  }

  get head(): number {
    return this.#entries.length;
  }

  /** Whatever stands here or later is kept. */
  get oldestKept(): number {
    return Math.max(this.#trimmed, this.#epoch.begin);
  }

  /** A message is on its way to the broker. */
  publishing(text: string): void {
    this.#add({ text });
    this.#trimmed = Math.max(this.#trimmed, this.#entries.length - this.#size);
  }

  /** What is kept is about to become so few messages. */
  trimming(kept: number): void {
    this.#trimmed = Math.max(this.#trimmed, this.#entries.length - kept);
  }

  /** Positions before this offset are about to be too old. */
  aging(offset: number): void {
    this.#epoch.aged = offset;
  }

  copy(): Copy {
    const { begin } = this.#epoch;
    return { entries: this.#entries.slice(begin), trimmed: this.oldestKept - begin };
  }

  /** Everything that is kept is about to be lost but what is in the copy. */
  losing(copy: Copy = { entries: [], trimmed: 0 }): void {
    this.#entries.push('loss');
    const begin = this.#entries.length;
    this.#epochs.push({ begin });
    for (const entry of copy.entries) if (entry !== 'loss') this.#add({ ...entry });
    this.#trimmed = begin + copy.trimmed;
  }

  /** Where the room stands in its newest epoch, by the broker. */
  began(position: string): void {
    const { epoch } = parsed(position);
    if ((this.#epoch.name ??= epoch) !== epoch) throw new Error(`${this.name} stands at ${position}, and its epoch is ${this.#epoch.name}`);
  }

  /** Where a message stands; it says of itself which position it has, always the same one. */
  indexOf(text: string, position: string): number {
    const { epoch, offset } = parsed(position);
    const indexes = this.#indexesOf.get(text) ?? [];
    const index = indexes.find((one) => this.#epochOf(one).name === epoch) ?? indexes.findLast((one) => this.#epochOf(one).name === undefined) ?? indexes[0];
    const entry = this.#entries[index ?? -1];
    if (index === undefined || entry === undefined || entry === 'loss') throw new Error(`nobody published ${text} in ${this.name}`);
    const itsEpoch = this.#epochOf(index);
    if ((itsEpoch.name ??= epoch) !== epoch) throw new Error(`${text} stands at ${position}, and its epoch is ${itsEpoch.name}`);
    if ((entry.offset ??= offset) !== offset) throw new Error(`${text} stands at ${position} and at ${entry.offset}`);
    return index;
  }

  resolve(place: Place): number {
    if (typeof place === 'number') return place;
    const { epoch, offset } = parsed(place);
    // Whoever asks first after a loss is the first to be told of the new one.
    if (this.#epochs.every(({ name }) => name !== epoch)) this.#epoch.name ??= epoch;
    const at = this.#epochs.findIndex(({ name }) => name === epoch);
    if (at === -1) throw new Error(`${this.name} never had the epoch of ${place}`);
    const begin = this.#epochs[at]?.begin ?? 0;
    const end = this.#epochs[at + 1]?.begin ?? this.#entries.length + 1;
    const entries = this.#entries.slice(begin, end - 1);
    return begin + entries.filter((entry) => entry !== 'loss' && entry.offset !== undefined && entry.offset <= offset).length;
  }

  /** The first message at this place or after it. */
  nextMessage(place: number): number {
    const index = this.#entries.findIndex((entry, at) => at >= place && entry !== 'loss');
    return index === -1 ? this.#entries.length : index;
  }

  /**
   * How many gaps may be told between these places: one for each loss, one where what followed the first of them, or the loss there, is kept no longer, or its `position` is too old,
   * and one for each epoch that began between them, if wherever a reader was put in it is too old since.
   */
  gapsBetween(from: number, to: number, position: string | undefined): number {
    const lost = this.#entries.slice(from, to).filter((entry) => entry === 'loss').length;
    const aged = this.#epochs.filter(({ begin, aged: before }) => before !== undefined && begin > from && begin <= to).length;
    const isTrimmed = this.#trimmed > this.nextMessage(from);
    return lost + aged + (isTrimmed || this.#isAged(position) ? 1 : 0);
  }

  #isAged(position: string | undefined): boolean {
    if (position === undefined) return false;
    const { epoch, offset } = parsed(position);
    return this.#epochs.some(({ name, aged = 0 }) => name === epoch && offset < aged);
  }

  /** A gateway has told somebody of the message at this place. */
  toldBy(gateway: string, index: number): void {
    this.#known.set(gateway, Math.max(index + 1, this.knownBy(gateway)));
  }

  /** The gateway knows of all before this place. Of what comes later it may hear later than others do. */
  knownBy(gateway: string): number {
    return this.#known.get(gateway) ?? 0;
  }

  /** Whoever asks for the newest so many is given that many, or all that are kept and that were `known` when it asked. */
  checkNewest(count: number, known: number, indexes: readonly number[]): void {
    const first = indexes[0] ?? known;
    if (indexes.length === count || first <= this.nextMessage(this.oldestKept)) return;
    throw new Error(`of the newest ${count} of ${this.name} came ${indexes.length} from ${first}, and ${this.oldestKept} is kept`);
  }

  /** Everything that happened, and where. */
  toString(): string {
    const entries = this.#entries.map((entry, index) => {
      if (entry === 'loss') return 'loss';
      return `${entry.text} ${this.#epochOf(index).name?.slice(-4)}:${entry.offset}`;
    });
    return `${this.name}, ${this.oldestKept} is kept: ${entries.join(', ')}; ${this.#epochs.at(-1)?.name}`;
  }

  textsFrom(place: number): string {
    return this.#entries
      .slice(place, place + 5)
      .map((entry) => (entry === 'loss' ? entry : entry.text))
      .join();
  }

  #add(entry: Exclude<Entry, 'loss'>): void {
    const indexes = this.#indexesOf.get(entry.text) ?? [];
    this.#indexesOf.set(entry.text, [...indexes, this.#entries.length]);
    this.#entries.push(entry);
  }

  get #epoch(): Epoch {
    return this.#epochs.at(-1) as Epoch;
  }

  #epochOf(index: number): Epoch {
    return this.#epochs.findLast(({ begin }) => begin <= index) as Epoch;
  }
}

function parsed(position: string): { epoch: string; offset: number } {
  const read = parsePosition(position);
  if (read === undefined) throw new Error(`no position: ${position}`);
  return read;
}
