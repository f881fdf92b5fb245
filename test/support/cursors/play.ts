import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import type { Going } from './asking.ts';
import { type Copy, RoomBook } from './book.ts';
import { type Fleet, KEPT, type Loss, type StartFleet } from './fleets.ts';
import { Reader } from './reader.ts';
import { untilBack } from './wires.ts';

const READERS = 3;
const ROOMS = 2;
const GATEWAYS = 2;
const GO_ON_MS = 300;

/** What is done to histories. */
type Change =
  | { readonly kind: 'publish'; readonly room: number; readonly at: number; readonly count: number }
  | { readonly kind: 'trim'; readonly room: number; readonly keep: number }
  | { readonly kind: 'purge'; readonly room: number }
  | { readonly kind: 'lose'; readonly how: number }
  | { readonly kind: 'keep' };

/** One thing that happens. Gateways are counted around. */
type Op =
  | Change
  | { readonly kind: 'settle' }
  | { readonly kind: 'go'; readonly who: number; readonly at: number; readonly going: Going; readonly waits: boolean }
  | { readonly kind: 'rejoin'; readonly who: number; readonly room: number }
  | { readonly kind: 'cut'; readonly who: number };

const who = fc.nat(READERS - 1);
const room = fc.nat(ROOMS - 1);
const at = fc.nat(5);
const going: fc.Arbitrary<Going> = fc.record({
  wire: fc.constantFrom('socket', 'sse', 'lines', 'poll', 'history'),
  many: fc.boolean(),
  room,
  cursor: fc.option(fc.constantFrom(0, 0, 0, 1, 3), { nil: undefined }),
  last: fc.option(fc.nat(KEPT + 2), { nil: undefined, freq: 8 }),
  limit: fc.constantFrom(1, 3, 1000),
  poll: fc.constantFrom(0, 0, 20),
});

const ops: fc.Arbitrary<readonly Op[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('publish' as const), room, at, count: fc.constantFrom(1, 1, 2, 3, KEPT + 2) }) },
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('go' as const), who, at, going, waits: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('trim' as const), room, keep: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('purge' as const), room }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), how: fc.nat(11) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('keep' as const, 'settle' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('rejoin' as const), who, room }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), who }) },
  ),
  { minLength: 30, maxLength: 50, size: 'max' },
);

/**
 * Plays so many scripts that come from `CURSORS_SEED`, or 1; `CURSORS_RUNS` says otherwise how many. Resolves with how many that were.
 * @throws where a reader is told anything else than what the books say, with the script
 */
export async function playMany(start: StartFleet, { runs }: { readonly runs: number }): Promise<number> {
  const seed = Number(process.env['CURSORS_SEED'] ?? 1);
  const numRuns = Number(process.env['CURSORS_RUNS'] ?? runs);
  await using fleet = await start(GATEWAYS);
  let run = 0;
  const property = fc.asyncProperty(ops, (script) => Play.run(fleet, String((run += 1)), script));
  await fc.assert(property, { seed, numRuns, endOnFailure: true });
  return run;
}

/** Does what it is told to a fleet, and keeps the books beside it. */
class Play {
  readonly #fleet: Fleet;
  readonly #books: readonly RoomBook[];
  readonly #readers: readonly Reader[];
  /** What changes histories is done one after the other. */
  #changed: Promise<unknown> = Promise.resolve();
  #going: Promise<void>[] = [];
  #published = 0;
  /** What was done to the histories. */
  readonly #changes: string[] = [];
  /** The broker was away: wires that were being opened end. */
  #mayEnd = false;
  /** What the broker can be given back, and how much was published before. */
  #kept: { readonly copies: readonly Copy[]; readonly published: number } | undefined;

  private constructor(fleet: Fleet, name: string) {
    this.#fleet = fleet;
    this.#books = Array.from({ length: ROOMS }, (_, index) => new RoomBook(`kept.${name}.${index}`, KEPT));
    this.#readers = Array.from({ length: READERS }, () => new Reader(this.#books, () => this.#mayEnd));
  }

  /** `name`: of its own, for its rooms. @throws where a reader is told anything else than what the books say */
  static async run(fleet: Fleet, name: string, script: readonly Op[]): Promise<void> {
    const play = new Play(fleet, name);
    let step = 0;
    try {
      await play.#lookWhereAllStand();
      for (const op of script) {
        await play.#do(op);
        for (const reader of play.#readers) reader.check();
        step += 1;
      }
      await play.#settle();
      for (const [index, reader] of play.#readers.entries()) await reader.catchUp(() => play.#origin(index));
    } catch (cause) {
      throw new Error(`in step ${step} ${JSON.stringify(script[step])}: ${String(cause)}\n${play.#books.join('\n')}\n${play.#changes.join('\n')}`, { cause });
    } finally {
      for (const reader of play.#readers) reader.cut();
      await Promise.allSettled([play.#changed, ...play.#going]);
    }
  }

  async #do(op: Op): Promise<void> {
    switch (op.kind) {
      case 'settle':
        return this.#settle();
      case 'go':
        return this.#go(op);
      case 'rejoin':
        return this.#readers[op.who]?.rejoin(op.room);
      case 'cut':
        return this.#readers[op.who]?.cut();
      default:
        this.#change(() => this.#act(op));
        // Where gateways may end nobody goes to one meanwhile.
        if (op.kind === 'lose' && this.#fleet.losses.some(({ ends }) => ends)) await this.#changed;
    }
  }

  #act(op: Change): Promise<void> {
    switch (op.kind) {
      case 'publish':
        return this.#publish(op.room, op.at, op.count);
      case 'trim':
        return this.#trim(op.room, op.keep);
      case 'purge':
        return this.#purge(op.room);
      case 'keep':
        return this.#keep();
      case 'lose':
        return this.#lose(op.how);
    }
  }

  /** What the next step does need not wait for it. */
  #change(change: () => Promise<void>): void {
    this.#changed = this.#changed.then(change);
    this.#changed.catch(() => undefined);
  }

  async #publish(index: number, gateway: number, count: number): Promise<void> {
    const book = this.#books[index] as RoomBook;
    for (let number = 0; number < count; number += 1) {
      const text = `m${(this.#published += 1)}`;
      book.publishing(text);
      const answer = await untilBack(() => fetch(`http://${this.#origin(gateway)}/room/${book.name}`, { method: 'POST', body: text }));
      const said = (await answer.json()) as { position: string };
      if (answer.status !== 202) throw new Error(`a publish was answered ${answer.status} ${JSON.stringify(said)}`);
      book.indexOf(text, said.position);
    }
  }

  async #trim(index: number, keep: number): Promise<void> {
    const { trim, trimsOthers = false } = this.#fleet;
    if (trim === undefined) return;
    const book = this.#books[index] as RoomBook;
    for (const one of this.#books) {
      if (one === book) one.trimming(keep);
      else if (trimsOthers) one.trimming(0);
    }
    this.#changes.push(`trim ${book.name} to ${keep} at ${book.head}`);
    await trim(book.name, keep, (offset) => this.#books.forEach((one) => one.aging(offset)));
  }

  async #purge(index: number): Promise<void> {
    const book = this.#books[index] as RoomBook;
    book.trimming(0);
    this.#changes.push(`purge ${book.name}`);
    await this.#fleet.purge(book.name);
  }

  async #keep(): Promise<void> {
    const { keep } = this.#fleet;
    if (keep === undefined) return;
    await keep();
    this.#kept = { copies: this.#books.map((book) => book.copy()), published: this.#published };
  }

  async #lose(how: number): Promise<void> {
    // Whoever is given back all that he had has lost nothing.
    const copies = this.#kept !== undefined && this.#kept.published < this.#published ? this.#kept.copies : [];
    const possible = this.#fleet.losses.filter(({ restores }) => restores !== true || copies.length > 0);
    const loss = possible[how % possible.length] as Loss;
    const { name, ends, restarts, restores } = loss;
    this.#changes.push(`at ${this.#books.map(({ head }) => head).join()} ${name}`);
    this.#mayEnd ||= restarts === true;
    for (const [index, book] of this.#books.entries()) book.losing(restores === true ? copies[index] : undefined);
    if (ends === true) for (const reader of this.#readers) reader.cut();
    await loss.happens(this.#books.map(({ name }) => name));
    await this.#lookWhereAllStand();
  }

  async #lookWhereAllStand(): Promise<void> {
    for (const book of this.#books) book.began(await this.#fleet.position(book.name));
  }

  async #publishInAll(): Promise<void> {
    for (const index of this.#books.keys()) this.#change(() => this.#publish(index, index, 1));
    await this.#changed;
  }

  /** After a message in each room nobody is to be without it. */
  async #settle(): Promise<void> {
    await this.#publishInAll();
    await Promise.all(this.#going);
    this.#going = [];
    const readers = Promise.all(this.#readers.map((reader) => reader.hasAll()));
    readers.catch(() => undefined);
    // A gateway that hears of a loss later than of the message goes on behind it.
    while (this.#mayEnd && !(await Promise.race([readers.then(() => true), delay(GO_ON_MS, false)]))) await this.#publishInAll();
    await readers;
    this.#mayEnd = false;
  }

  async #go(op: Extract<Op, { kind: 'go' }>): Promise<void> {
    const gone = this.#readers[op.who]?.go(this.#origin(op.at), op.going) ?? Promise.resolve();
    this.#going.push(gone);
    if (op.waits && op.going.poll === 0) await gone;
  }

  #origin(gateway: number): string {
    const { origins } = this.#fleet;
    return origins[gateway % origins.length] ?? '';
  }
}
