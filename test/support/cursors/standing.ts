import type { Place, RoomBook } from './book.ts';

interface Between {
  /** All before this place it has had, or was told to have missed. */
  from: Place;
  /** What comes next is the first message after this place, or an earlier one: they differ after a gap, and where nobody has said yet where it begins. */
  high: Place;
  /** Of what is skipped before this place no gap need be told: it was told before, or was over when the reader came. */
  told: number;
  /** The newest position that it was told, in place of which it had nothing later. */
  position: string | undefined;
}

/** Where one reader stands in one room, by what it was told; each thing that it is told is compared with the book. */
export class Standing {
  readonly #book: RoomBook;
  #at: Between;
  /** Nobody has said yet where it begins. */
  #isNew: boolean;
  /** Gaps told since it last knew where it stands. */
  #gaps = 0;
  /** Where it stands once the gap has come that was announced. */
  #afterGap: string | undefined;

  private constructor(book: RoomBook, at: Between, isNew = false) {
    this.#book = book;
    this.#at = at;
    this.#isNew = isNew;
  }

  /** A reader that begins now, wherever the room stands. */
  static new(book: RoomBook): Standing {
    return new Standing(book, { from: 0, high: 0, told: 0, position: undefined }, true);
  }

  /** As it is now. */
  copy(): Standing {
    const copy = new Standing(this.#book, { ...this.#at }, this.#isNew);
    copy.#gaps = this.#gaps;
    return copy;
  }

  /** One that goes on from here. Where nothing has come since a gap it may be told again. */
  resumed(): Standing {
    const told = this.#gaps > 0 ? this.#book.resolve(this.#at.high) : this.#at.told;
    return new Standing(this.#book, { ...this.#at, told }, this.#isNew);
  }

  /** One that goes on from {@link position}; a new one where there is none. */
  resumedAtPosition(): Standing {
    const { position } = this.#at;
    if (position === undefined) return Standing.new(this.#book);
    const { high, told } = this.resumed().#at;
    return new Standing(this.#book, { from: position, high: this.#gaps > 0 ? high : position, told, position });
  }

  get position(): string | undefined {
    return this.#at.position;
  }

  /** It was told where it stands. */
  at(position: string): void {
    const place = this.#book.resolve(position);
    const { from, high, told } = this.#resolved;
    if (place < from || place > this.#book.nextMessage(high)) this.#fail(`was put at ${position}, place ${place}`);
    if (this.#gaps === 0 && place > Math.max(high, told)) this.#fail(`was put at ${position}, place ${place}, without a gap`);
    this.#justify(place);
    this.#settle(position, position);
  }

  /** It was told from where it goes on, and whether something is missing before that: then a gap follows. */
  joined(position: string, recovered: boolean | undefined): void {
    if (recovered === false) this.#afterGap = position;
    else this.at(position);
  }

  /** `through`: nothing at that place or after it may be left out. */
  gap(through: number = this.#book.head): void {
    this.#gaps += 1;
    this.#justify(this.#book.head);
    const after = this.#afterGap;
    this.#afterGap = undefined;
    if (after === undefined) this.#at.high = Math.max(through, this.#resolved.from);
    else this.#settle(after, after);
  }

  /** A gap was told in this room or another one. Whether it can have been this one. */
  perhapsGap(): boolean {
    const { from, told } = this.#resolved;
    const high = Math.max(this.#book.oldestKept, from);
    this.#at = { ...this.#at, high, told: Math.max(told, high) };
    return this.#isNew || this.#book.gapsBetween(from, this.#book.head, this.#at.position) > 0;
  }

  /** `gateway`: who gave it. */
  message(text: string, position: string, gateway: string): void {
    const index = this.#book.indexOf(text, position);
    this.#book.toldBy(gateway, index);
    const { from, high, told } = this.#resolved;
    const named = `was given ${text}, ${index},`;
    if (this.#afterGap !== undefined) this.#fail(`${named} before the gap`);
    if (index < from) this.#fail(`${named} twice or out of order`);
    if (index > this.#book.nextMessage(high)) this.#fail(`${named} and not what comes before`);
    if (this.#gaps === 0 && index > Math.max(from, told)) this.#fail(`${named} without a gap`);
    this.#justify(index);
    this.#settle(index + 1, position);
  }

  /** Whether it has had everything. */
  get isAtHead(): boolean {
    const { from, high } = this.#resolved;
    return this.#gaps === 0 && !this.#isNew && from === high && from === this.#book.head;
  }

  toString(): string {
    const { from, high, told } = this.#resolved;
    const { name, head } = this.#book;
    return `${name}: from ${from} to ${high}, ${this.#gaps} gaps, told up to ${told}, of ${head}, at ${this.#at.position}; next ${this.#book.textsFrom(from)}`;
  }

  get #resolved(): { from: number; high: number; told: number } {
    const { from, high, told } = this.#at;
    if (this.#isNew) return { from: 0, high: this.#book.head, told: this.#book.head };
    return { from: this.#book.resolve(from), high: this.#book.resolve(high), told };
  }

  #settle(place: Place, position: string): void {
    this.#at = { from: place, high: place, told: this.#isNew || this.#gaps > 0 ? this.#book.head : this.#at.told, position };
    this.#isNew = false;
    this.#gaps = 0;
  }

  #justify(to: number): void {
    if (this.#gaps > this.#book.gapsBetween(this.#resolved.from, to, this.#at.position)) this.#fail('was told a gap where nothing is lost');
  }

  #fail(what: string): never {
    throw new Error(`a reader ${what}: ${this.toString()}`);
  }
}
