import fc from 'fast-check';
import type { Going } from './asking.ts';
import { RoomBook } from './book.ts';
import { type Fleet, KEPT, type StartFleet } from './fleets.ts';
import { Reader } from './reader.ts';

const READERS = 3;
const ROOMS = 2;
const GATEWAYS = 2;

/** One thing that happens. Gateways are counted around. */
type Op =
  | { readonly kind: 'publish'; readonly room: number; readonly at: number; readonly count: number }
  | { readonly kind: 'trim'; readonly room: number; readonly keep: number }
  | { readonly kind: 'lose' | 'settle' }
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
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('lose' as const, 'settle' as const) }) },
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

  private constructor(fleet: Fleet, name: string) {
    this.#fleet = fleet;
    this.#books = Array.from({ length: ROOMS }, (_, index) => new RoomBook(`kept.${name}.${index}`, KEPT));
    this.#readers = Array.from({ length: READERS }, () => new Reader(this.#books));
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
      throw new Error(`in step ${step} ${JSON.stringify(script[step])}: ${String(cause)}`, { cause });
    } finally {
      for (const reader of play.#readers) reader.cut();
      await Promise.allSettled([play.#changed, ...play.#going]);
    }
  }

  async #do(op: Op): Promise<void> {
    switch (op.kind) {
      case 'publish':
        return this.#change(() => this.#publish(op.room, op.at, op.count));
      case 'trim':
        return this.#change(() => this.#trim(op.room, op.keep));
      case 'lose':
        return this.#change(() => this.#lose());
      case 'settle':
        return this.#settle();
      case 'go':
        return this.#go(op);
      case 'rejoin':
        return this.#readers[op.who]?.rejoin(op.room);
      case 'cut':
        return this.#readers[op.who]?.cut();
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
      const answer = await fetch(`http://${this.#origin(gateway)}/room/${book.name}`, { method: 'POST', body: text });
      const said = (await answer.json()) as { position: string };
      if (answer.status !== 202) throw new Error(`a publish was answered ${answer.status} ${JSON.stringify(said)}`);
      book.indexOf(text, said.position);
    }
  }

  async #trim(index: number, keep: number): Promise<void> {
    const book = this.#books[index] as RoomBook;
    const { trim, trimsAll = false } = this.#fleet;
    if (trim === undefined) return;
    book.trimming(trimsAll ? 0 : keep);
    await trim(book.name, keep);
  }

  async #lose(): Promise<void> {
    const { lose } = this.#fleet;
    if (lose === undefined) return;
    for (const book of this.#books) book.losing();
    await lose(this.#books.map(({ name }) => name));
    await this.#lookWhereAllStand();
  }

  async #lookWhereAllStand(): Promise<void> {
    for (const book of this.#books) book.began(await this.#fleet.position(book.name));
  }

  /** After a message in each room nobody is to be without it. */
  async #settle(): Promise<void> {
    for (const index of this.#books.keys()) this.#change(() => this.#publish(index, index, 1));
    await this.#changed;
    await Promise.all(this.#going);
    this.#going = [];
    for (const reader of this.#readers) await reader.hasAll();
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
