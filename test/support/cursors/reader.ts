import { setTimeout as delay } from 'node:timers/promises';
import { parseCursor } from '../../../packages/gateway/src/hub/cursor.ts';
import { askingOfMany, askingOfOne, type Asking, type Cursor, type Going, standingIn, type Standings } from './asking.ts';
import type { RoomBook } from './book.ts';
import { Standing } from './standing.ts';
import { ask, type Heard, openSocket, openStream, type Wire, type WireEvents } from './wires.ts';

interface Answer {
  readonly messages: readonly { readonly room?: string; readonly text: string; readonly position: string }[];
  readonly cursor: string;
  readonly recovered: boolean;
  readonly gap?: true;
  readonly more?: true;
}

/** A room that is joined, and from where. */
interface Joining {
  readonly frame: object;
  readonly standing: Standing;
}

/** Cursors that a reader keeps. */
const KEPT_CURSORS = 4;
const KEPT_NOTES = 20;
const PATIENCE_MS = 30_000;
const JOIN_AGAIN_MS = 20;
/** In small answers, so that they leave some of the messages for the next one. */
const CATCH_UP: Going = { wire: 'poll', many: true, room: 0, cursor: undefined, last: undefined, limit: 2, poll: 20 };

/** A client that goes on by any wire, at any gateway, from whatever it was given; what it is told is compared with the books of its rooms. */
export class Reader {
  readonly #books: readonly RoomBook[];
  readonly #mayEnd: () => boolean;
  readonly #standings: Map<string, Standing>;
  /** The newest first. */
  #cursors: Cursor[] = [];
  /** Rooms that it has asked its socket for. */
  readonly #joining = new Map<string, Joining>();
  #wire: Wire | undefined;
  /** Where it went last. */
  #origin = '';
  #rooms: readonly RoomBook[] = [];
  /** Gives up what was begun before the last cut. */
  #turn = new AbortController();
  #fault: unknown;
  /** What it did and was told last, for whoever has to find out why it fails. */
  #had: readonly string[] = [];
  readonly #waiting = new Set<() => void>();

  /** `mayEnd`: whether a gateway may end a wire just now. */
  constructor(books: readonly RoomBook[], mayEnd: () => boolean) {
    this.#books = books;
    this.#mayEnd = mayEnd;
    this.#standings = new Map(books.map((book) => [book.name, Standing.new(book)]));
  }

  /** Whatever it has now is cut; resolves once what is asked for stands, or was answered, or cut. `origin`: host and port of a gateway. */
  async go(origin: string, going: Going): Promise<void> {
    this.cut();
    this.#origin = origin;
    this.#note({ origin, ...going, at: this.toString() });
    const { signal } = this.#turn;
    try {
      if (going.wire === 'socket') await this.#openSocket(origin, going, signal);
      else if (going.wire === 'poll' || going.wire === 'history') await this.#ask(origin, going, signal);
      else await this.#openStream(origin, going.wire, going, signal);
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }

  /** Joins a room of its socket again, from the position that it knows. */
  rejoin(room: number): void {
    const book = this.#books[room];
    const send = this.#wire?.send;
    if (send !== undefined && book !== undefined && this.#joining.size === 0 && this.#rooms.includes(book)) this.#join(send, book, undefined);
  }

  cut(): void {
    this.#turn.abort();
    this.#turn = new AbortController();
    this.#wire?.cut();
    this.#wire = undefined;
    this.#rooms = [];
    this.#joining.clear();
    this.#wake();
  }

  /** Resolves once it has everything of the rooms that it is in. */
  async hasAll(): Promise<void> {
    await this.#until(() => this.#joining.size === 0 && this.#rooms.every(({ name }) => standingIn(this.#standings, name).isAtHead));
  }

  /** Resolves once it has everything of all rooms, which nobody publishes to any more. */
  async catchUp(origin: () => string): Promise<void> {
    await this.hasAll();
    const end = performance.now() + PATIENCE_MS;
    while (!this.#books.every(({ name }) => standingIn(this.#standings, name).isAtHead)) {
      await this.go(origin(), { ...CATCH_UP, cursor: this.#cursors.length > 0 ? 0 : undefined, poll: 0 });
      this.check();
      if (performance.now() > end) throw new Error(`a reader does not come to the end: ${this.toString()}`);
      // A gateway may hear of a message later than its publisher does.
      await delay(5);
    }
  }

  /** @throws what it was told against the books */
  check(): void {
    if (this.#fault !== undefined) throw this.#fault;
  }

  toString(): string {
    return [...this.#standings.values()].join('; ');
  }

  async #openSocket(origin: string, going: Going, signal: AbortSignal): Promise<void> {
    const books = this.#booksOf(going);
    await openSocket(
      origin,
      this.#events(undefined, signal, (wire) => {
        this.#rooms = books;
        for (const book of books) this.#join(wire.send, book, going.last);
      }),
    );
    await this.#until(() => signal.aborted || this.#joining.size === 0);
  }

  #join(send: Wire['send'], book: RoomBook, last: number | undefined): void {
    const standing = last === undefined ? standingIn(this.#standings, book.name).resumedAtPosition() : Standing.new(book);
    const frame = { type: 'join', room: book.name, since: standing.position, last, ref: book.name };
    this.#joining.set(book.name, { frame, standing });
    send?.(frame);
  }

  async #openStream(origin: string, kind: 'sse' | 'lines', going: Going, signal: AbortSignal): Promise<void> {
    const books = this.#booksOf(going);
    const { request, standings } = this.#asking(going, books);
    const begin = (): void => {
      this.#rooms = books;
      this.#standAt(standings);
    };
    await openStream(origin, kind, request, this.#events(going.many ? undefined : books[0], signal, begin));
  }

  async #ask(origin: string, going: Going, signal: AbortSignal): Promise<void> {
    const books = this.#booksOf(going);
    const { request, standings } = this.#asking(going, books);
    const known = books.map((book) => book.knownBy(origin));
    const answer = (await (await ask(origin, request, signal)).json()) as Answer;
    if (signal.aborted) return;
    this.#note(answer);
    this.#standAt(standings);
    const placed = answer.messages.map((message) => ({ ...message, room: message.room ?? books[0]?.name ?? '' }));
    this.#take({ ...answer, messages: placed }, going, books);
    // Where the answer is bounded the oldest are left out.
    if (going.last === undefined || placed.length === going.limit) return;
    for (const [index, book] of books.entries()) {
      const given = placed.filter(({ room }) => room === book.name).map(({ text, position }) => book.indexOf(text, position));
      book.checkNewest(going.last, known[index] ?? 0, given);
    }
  }

  #take({ messages, cursor, recovered, gap, more }: Answer, { many, limit }: Going, books: readonly RoomBook[]): void {
    if (recovered === (gap === true)) throw new Error('recovered and a gap, or neither');
    if (messages.length > limit || (more === true && messages.length < limit))
      throw new Error(`${messages.length} messages, the limit is ${limit}, more ${more}`);
    if (gap === true && !books.map(({ name }) => standingIn(this.#standings, name).perhapsGap()).includes(true)) {
      throw new Error(`a poll told a gap where nothing is lost: ${this.toString()}`);
    }
    for (const { room = '', text, position } of messages) this.#message(room, text, position);
    const [own] = books;
    if (many || own === undefined) this.#mark(cursor);
    else standingIn(this.#standings, own.name).at(cursor);
  }

  #asking(going: Going, books: readonly RoomBook[]): Asking {
    const [book] = books;
    if (!going.many && book !== undefined) return askingOfOne(going, book, this.#standings);
    return askingOfMany(going, books, this.#cursors[going.cursor ?? -1] ?? this.#standings);
  }

  #booksOf({ many, room }: Going): readonly RoomBook[] {
    return many ? this.#books : this.#books.slice(room, room + 1);
  }

  #standAt(standings: Standings): void {
    for (const [room, standing] of standings) this.#standings.set(room, standing);
  }

  #events(own: RoomBook | undefined, signal: AbortSignal, begin: (wire: Wire) => void): WireEvents {
    return {
      opened: (wire) => {
        if (signal.aborted) return wire.cut();
        this.#wire = wire;
        begin(wire);
      },
      hear: (heard) => {
        if (signal.aborted) return;
        this.#note(heard);
        try {
          this.#hear(heard, own);
        } catch (error) {
          this.#fail(error);
        }
        this.#wake();
      },
      ended: () => {
        if (signal.aborted) return;
        if (this.#mayEnd()) this.cut();
        else this.#fail(new Error('the wire ended'));
      },
    };
  }

  #hear(heard: Heard, own: RoomBook | undefined): void {
    const { room = own?.name ?? '' } = heard;
    switch (heard.type) {
      case 'message':
        return this.#message(room, String(heard.text), String(heard.position));
      case 'gap':
        return standingIn(this.#standings, room).gap();
      case 'joined':
        return this.#joined(room, String(heard.position), heard.recovered);
      case 'cursor':
        return own === undefined ? this.#mark(String(heard.cursor)) : standingIn(this.#standings, room).at(String(heard.cursor));
      case 'welcome':
      case 'ping':
        return;
      case 'error':
        return this.#refused(heard);
      default:
        throw new Error(`a reader was told ${heard.type} ${heard.code}: ${this.toString()}`);
    }
  }

  #message(room: string, text: string, position: string): void {
    standingIn(this.#standings, room).message(text, position, this.#origin);
  }

  #joined(room: string, position: string, recovered: boolean | undefined): void {
    const joining = this.#joining.get(room);
    if (joining !== undefined) this.#standings.set(room, joining.standing);
    this.#joining.delete(room);
    standingIn(this.#standings, room).joined(position, recovered);
  }

  /** While the layer is away a join does nothing: it is asked for again. */
  #refused({ code, ref = '' }: Heard): void {
    const joining = this.#joining.get(ref);
    if (code !== 'away' || joining === undefined) throw new Error(`a reader was told the error ${code}: ${this.toString()}`);
    void delay(JOIN_AGAIN_MS).then(() => {
      if (this.#joining.get(ref) === joining) this.#wire?.send?.(joining.frame);
    });
  }

  /** It was told where it stands in all rooms. */
  #mark(text: string): void {
    const positions = parseCursor(text);
    if (typeof positions !== 'object') throw new Error(`no cursor: ${text}`);
    for (const [room, position] of positions) standingIn(this.#standings, room).at(position);
    const standings = new Map([...this.#standings].map(([room, standing]) => [room, standing.copy()]));
    this.#cursors = [{ text, standings }, ...this.#cursors].slice(0, KEPT_CURSORS);
  }

  #fail(cause: unknown): void {
    this.#fault ??= new Error(`${String(cause)}; ${this.#story}`, { cause });
    this.#wake();
  }

  get #story(): string {
    return `it had last\n${this.#had.join('\n')}\n`;
  }

  #note(what: object): void {
    this.#had = [...this.#had, JSON.stringify(what)].slice(-KEPT_NOTES);
  }

  #wake(): void {
    for (const look of this.#waiting) look();
  }

  async #until(holds: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (): void => {
      if (this.#fault !== undefined || holds()) resolve();
    };
    const timer = setTimeout(() => reject(new Error(`a reader has not everything: ${this.toString()}; ${this.#story}`)), PATIENCE_MS);
    this.#waiting.add(look);
    look();
    await promise.finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(look);
    });
    this.check();
  }
}
