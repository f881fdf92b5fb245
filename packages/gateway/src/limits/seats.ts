import { AddressBook, type AddressLimits } from './addresses.ts';
import { type Seated, UserBook, type UserLimits } from './users.ts';

/** A session's place among those of its address and its user, from its admission to its end. */
export interface Seat {
  /** The session has begun. */
  take(session: Seated): void;
  readonly isTaken: boolean;
  /** It is over, or will not begin. Called once. */
  release(): void;
}

/** Where nobody counts. */
const STANDING: Seat = { take: () => undefined, isTaken: true, release: () => undefined };

/** How many sessions each address and each user may have. */
export class Seats {
  readonly #addresses: AddressBook;
  readonly #users: UserBook;

  /** `now`: milliseconds, never going back. */
  constructor({ address, user }: { readonly address: AddressLimits; readonly user: UserLimits }, now: () => number) {
    this.#addresses = new AddressBook(address, now);
    this.#users = new UserBook(user);
  }

  /** Whether this address may ask to be let in now. Each question counts. `addressOf` is called only where somebody counts. */
  mayAsk(addressOf: () => string): boolean {
    return !this.#addresses.isEnforced || this.#addresses.mayAsk(addressOf());
  }

  /** Whether this address may have one session more. */
  hasRoom(addressOf: () => string): boolean {
    return !this.#addresses.isEnforced || this.#addresses.hasRoom(addressOf());
  }

  /** A place; undefined where the address or the user has too many. */
  take(addressOf: () => string, user: string | undefined): Seat | undefined {
    const isUserCounted = user !== undefined && this.#users.isEnforced;
    if (!this.#addresses.isEnforced && !isUserCounted) return STANDING;
    if (isUserCounted && !this.#users.expect(user)) return undefined;
    const free = this.#addresses.isEnforced ? this.#addresses.hold(addressOf()) : () => undefined;
    if (free !== undefined) return new CountedSeat(free, isUserCounted ? user : undefined, this.#users);
    if (isUserCounted) this.#users.settle(user);
    return undefined;
  }
}

class CountedSeat implements Seat {
  readonly #free: () => void;
  readonly #user: string | undefined;
  readonly #users: UserBook;
  #session: Seated | undefined;

  constructor(free: () => void, user: string | undefined, users: UserBook) {
    this.#free = free;
    this.#user = user;
    this.#users = users;
  }

  get isTaken(): boolean {
    return this.#session !== undefined;
  }

  take(session: Seated): void {
    this.#session = session;
    if (this.#user === undefined) return;
    this.#users.settle(this.#user);
    this.#users.add(this.#user, session);
  }

  release(): void {
    this.#free();
    if (this.#user === undefined) return;
    if (this.#session === undefined) this.#users.settle(this.#user);
    else this.#users.remove(this.#user, this.#session);
  }
}
