import type { Answer, WaitingAnswer } from '../../answer.ts';
import type { Client } from '../../auth/revocations.ts';
import type { End } from '../../errors.ts';
import type { HubRoom, Watcher } from '../../hub/room.ts';
import { ANYONE, type Identity } from '../../identity.ts';
import type { Seat } from '../../limits/seats.ts';
import type { Seated } from '../../limits/users.ts';
import type { Timed } from '../../session/deadlines.ts';
import type { HistoryQuestion } from './question.ts';
import type { Reading, Wanted } from './reading.ts';

/** How a poll ends: answered, given up by its client, by a drain, by a newer session of its user, or since its client was revoked. In close codes, by which metrics count ends whatever the wire. */
const ENDS = { answered: 1000, left: 1005, drained: 1012, replaced: 4409, expired: 4401 } as const;

/** What a poll asks of those who made it. */
export interface PollHost {
  /** Resolves when it is this one's turn: thousands may wait for the same message. */
  turn(): Promise<void>;
  read(wanted: Wanted): Promise<Reading>;
  answer(places: ReadonlyMap<string, string>, isOfMany: boolean, reading?: Reading): Answer;
  /** What is answered where nothing can be read. */
  failure(error: unknown): Answer;
  refusal(key: 'bad_token'): Answer;
  /** It waits no more; with the close code that its end counts as. */
  remove(poll: WaitingPoll, code: number): void;
}

/**
 * A poll that waits for the first message of its rooms. It costs what an idle session does: one object, in the wheel of all deadlines and among the watchers of its rooms, and no
 * timer, closure or promise.
 */
export class WaitingPoll implements Timed, Watcher, Seated, Client, WaitingAnswer {
  dueTick = -1;
  wheelNext: Timed | undefined;
  wheelBack: Timed | undefined;
  readonly #host: PollHost;
  /** Held until it ends; and where its client stands in each. */
  readonly #rooms: readonly HubRoom[];
  readonly #places: string[];
  readonly #limit: number;
  readonly #isOfMany: boolean;
  /** Those of which something has come that was not looked at. */
  #stirred: HubRoom[] | undefined;
  #asker: Parameters<WaitingAnswer['begin']>[0] | undefined;
  #seat: Seat | undefined;
  #identity: Identity = ANYONE;
  #isLooking = false;
  #isOpen = true;

  /** The rooms are held for it, and it is told of what they have from now on. */
  constructor(host: PollHost, rooms: readonly HubRoom[], { sinceOf, limit, isOfMany }: HistoryQuestion) {
    this.#host = host;
    // Of their own size: what has grown keeps room to grow.
    this.#rooms = [...rooms];
    this.#places = rooms.map(({ name }) => sinceOf(name) ?? '');
    this.#limit = limit;
    this.#isOfMany = isOfMany;
    for (const room of rooms) room.watch(this);
  }

  get identity(): Identity {
    return this.#identity;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Nothing of what was read is news: this is where its client stands. All that stand where the room does share its word for that. */
  place({ positions }: Reading): void {
    for (const [index, { name, position }] of this.#rooms.entries()) {
      const place = positions.get(name) ?? (this.#places[index] as string);
      this.#places[index] = place === position ? position : place;
    }
  }

  /** It may wait, and has its place until it ends. */
  sit(seat: Seat, identity: Identity): void {
    this.#identity = identity;
    this.#seat = seat;
    seat.take(this);
  }

  begin(asker: Parameters<WaitingAnswer['begin']>[0]): void {
    this.#asker = asker;
    if (!this.#isOpen) asker.answer(this.#empty());
    else if (this.#stirred !== undefined) void this.#look();
  }

  stir(room: HubRoom): void {
    (this.#stirred ??= []).push(room);
    if (this.#asker !== undefined && !this.#isLooking) void this.#look();
  }

  onDue(): void {
    this.hurry();
  }

  hurry(): void {
    this.#end(ENDS.answered, this.#empty());
  }

  left(): void {
    this.#end(ENDS.left);
  }

  /** The answer says it. */
  announceDrain(): void {}

  /** Whoever may come back is told where it stands. */
  close(how: 'drained' | 'replaced' | 'expired' | End): void {
    const code = typeof how === 'string' ? ENDS[how] : how.code;
    this.#end(code, how === 'expired' ? this.#host.refusal('bad_token') : this.#empty());
  }

  /** It does not wait after all. */
  cancel(): void {
    this.#isOpen = false;
    this.#seat?.release();
    for (const room of this.#rooms) {
      room.unwatch(this);
      room.release();
    }
  }

  /** What comes between two readings is in the second: it is watched before each. */
  async #look(): Promise<void> {
    this.#isLooking = true;
    try {
      for (let stirred = this.#stirred; stirred !== undefined && this.#isOpen; stirred = this.#stirred) {
        await this.#host.turn();
        if (!this.#isOpen) return;
        this.#stirred = undefined;
        for (const room of stirred) room.watch(this);
        const reading = await this.#host.read(this.#wanted(stirred));
        if (!this.#isOpen) return;
        this.place(reading);
        if (reading.isNews) this.#end(ENDS.answered, this.#host.answer(this.#positions, this.#isOfMany, reading));
      }
    } catch (error) {
      if (this.#isOpen) this.#end(ENDS.answered, this.#host.failure(error));
    }
    this.#isLooking = false;
  }

  #wanted(rooms: readonly HubRoom[]): Wanted {
    const positions = this.#positions;
    return { rooms: rooms.map(({ name }) => name), sinceOf: (room) => positions.get(room), last: undefined, limit: this.#limit, isOfMany: this.#isOfMany };
  }

  get #positions(): ReadonlyMap<string, string> {
    return new Map(this.#rooms.map(({ name }, index) => [name, this.#places[index] as string]));
  }

  #empty(): Answer {
    return this.#host.answer(this.#positions, this.#isOfMany);
  }

  #end(code: number, answer?: Answer): void {
    if (!this.#isOpen) return;
    this.cancel();
    this.#host.remove(this, code);
    if (answer !== undefined) this.#asker?.answer(answer);
  }
}
