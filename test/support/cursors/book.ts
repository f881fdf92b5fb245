import { parsePosition } from '@busgate/layer';

/** What happened in a room, in order: its messages, and the moments at which the broker lost its history. */
type Entry = { readonly text: string; offset?: number } | 'loss';

/** A run of entries of one epoch, whose name is known from its first reading. */
interface Epoch {
  readonly begin: number;
  name?: string;
}

/** A place between entries: how many of them come before it; or a position that says so. */
export type Place = number | string;

/** What a room with history is to tell whoever asks, whatever the gateway: kept beside what is done to it. */
export class RoomBook {
  readonly name: string;
  readonly #size: number;
  readonly #entries: Entry[] = [];
  readonly #epochs: Epoch[] = [{ begin: 0 }];
  readonly #indexOf = new Map<string, number>();
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
    this.#indexOf.set(text, this.#entries.length);
    this.#entries.push({ text });
    this.#trimmed = Math.max(this.#trimmed, this.#entries.length - this.#size);
  }

  /** What is kept is about to become so few messages. */
  trimming(kept: number): void {
    this.#trimmed = Math.max(this.#trimmed, this.#entries.length - kept);
  }

  /** Everything that is kept is about to be lost. */
  losing(): void {
    this.#entries.push('loss');
    this.#epochs.push({ begin: this.#entries.length });
  }

  /** Where the room stands in its newest epoch, by the broker. */
  began(position: string): void {
    const { epoch } = parsed(position);
    if ((this.#epoch.name ??= epoch) !== epoch) throw new Error(`${this.name} stands at ${position}, and its epoch is ${this.#epoch.name}`);
  }

  /** Where a message stands; it says of itself which position it has, always the same one. */
  indexOf(text: string, position: string): number {
    const index = this.#indexOf.get(text);
    const entry = this.#entries[index ?? -1];
    if (index === undefined || entry === undefined || entry === 'loss') throw new Error(`nobody published ${text} in ${this.name}`);
    const { epoch, offset } = parsed(position);
    const itsEpoch = this.#epochs.findLast(({ begin }) => begin <= index);
    if (itsEpoch === undefined || (itsEpoch.name ??= epoch) !== epoch) throw new Error(`${text} stands at ${position}, and its epoch is ${itsEpoch?.name}`);
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

  /** How many gaps may be told between these places: one for each loss, and one where what followed the first of them is kept no longer. */
  gapsBetween(from: number, to: number): number {
    const lost = this.#entries.slice(from, to).filter((entry) => entry === 'loss').length;
    return lost + (this.#trimmed > from && this.#entries[from] !== 'loss' ? 1 : 0);
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

  textsFrom(place: number): string {
    return this.#entries
      .slice(place, place + 5)
      .map((entry) => (entry === 'loss' ? entry : entry.text))
      .join();
  }

  get #epoch(): Epoch {
    return this.#epochs.at(-1) as Epoch;
  }
}

function parsed(position: string): { epoch: string; offset: number } {
  const read = parsePosition(position);
  if (read === undefined) throw new Error(`no position: ${position}`);
  return read;
}
