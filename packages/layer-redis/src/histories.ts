import type { Buffer } from 'node:buffer';
import { LayerError, parsePosition, type HistoryPage, type HistoryRule, type Position, type Stamp, type TopicSink } from '@busgate/layer/driver';
import { RUN_ID } from './connection.ts';
import type { Item } from './joined-calls.ts';
import { Keys } from './keys.ts';
import { SCRIPTS, type Runner } from './scripts.ts';
import type { Receiver } from './subscriber.ts';

/** Messages of one round trip: a long history does not hold up the server, nor fill our memory with replies. */
const PAGE = 200;
const LINE_FEED = 0x0a;
/** `<epoch>:<offset>:<previous offset>` is never longer. */
const MAX_STAMP = 110;

/** A message to append, and the id that it is known by, where it has one. */
type Appended = Item<string | undefined>;

/**
 * Appends in one step with trimming and publishing; answers where each message stands. Keys of ids are named, so that a slot that is on its way moves
 * them as one with the others.
 */
export async function append(
  runner: Runner,
  keys: readonly string[],
  room: string,
  rule: HistoryRule,
  publishCommand: string,
  items: readonly Appended[],
): Promise<(index: number) => Position> {
  const ids = items.flatMap(({ options: id }) => (id === undefined ? [] : [Keys.idBeside(room, id)]));
  const [first, ...more] = items.flatMap(({ payload, options: id }) => [payload, id ?? '']);
  const answers = (await SCRIPTS.publish.run(runner, [...keys, ...ids], first ?? '', rule.size, rule.ageMs, RUN_ID, publishCommand, ...more)) as Buffer[];
  return (index) => {
    const position = parsePosition(String(answers[index]));
    if (position === undefined) throw new LayerError('OUTCOME_UNKNOWN', 'Redis answered something that is no position');
    return position;
  };
}

interface StreamEntry {
  readonly id: string;
  readonly offset: number;
  readonly payload: Uint8Array;
}

interface Piece {
  readonly epoch: string;
  readonly head: number;
  readonly entries: readonly StreamEntry[];
}

/** Reads backwards from the newest message to the one after `after`: offsets count every message, so their number is known. */
export async function read(runner: Runner, keys: readonly string[], rule: HistoryRule, after?: Position): Promise<HistoryPage> {
  const first = await readPiece(runner, keys, rule, '+', after === undefined ? 0 : PAGE);
  const { epoch, head } = first;
  if (after === undefined || after.epoch !== epoch || after.offset > head) return { epoch, head, complete: false, messages: [] };
  const missed = head - after.offset;
  const newest = [...first.entries];
  for (let piece = first; piece.entries.length > 0 && newest.length < missed;) {
    piece = await readPiece(runner, keys, rule, `(${newest.at(-1)?.id}`, Math.min(PAGE, missed - newest.length));
    if (piece.epoch !== epoch) return { epoch: piece.epoch, head: piece.head, complete: false, messages: [] };
    newest.push(...piece.entries);
  }
  const messages = newest.filter((entry) => entry.offset > after.offset).toReversed();
  return { epoch, head, complete: messages.length === missed, messages };
}

async function readPiece(runner: Runner, keys: readonly string[], rule: HistoryRule, from: string, count: number): Promise<Piece> {
  const reply = await SCRIPTS.read.run(runner, keys, '', rule.size, rule.ageMs, RUN_ID, from, count);
  const [epoch, head, entries] = reply as [Buffer, Buffer, [Buffer, [Buffer, Buffer]][]];
  return {
    epoch: epoch.toString(),
    head: Number(head.toString()),
    entries: entries.map(([id, [, payload]]) => {
      const text = id.toString();
      return { id: text, offset: Number(text.slice(text.indexOf('-') + 1)), payload };
    }),
  };
}

/** Takes the stamp off what is published beside a history. */
export class StampedReceiver implements Receiver {
  readonly #sink: TopicSink;
  readonly #undecodable: () => void;

  constructor(sink: TopicSink, undecodable: () => void) {
    this.#sink = sink;
    this.#undecodable = undecodable;
  }

  message(payload: Buffer): void {
    const end = payload.subarray(0, MAX_STAMP).indexOf(LINE_FEED);
    const stamp = end === -1 ? undefined : readStamp(payload.toString('latin1', 0, end));
    if (stamp === undefined) this.#undecodable();
    else this.#sink.message(payload.subarray(end + 1), stamp);
  }
}

function readStamp(text: string): Stamp | undefined {
  const colon = text.lastIndexOf(':');
  const position = parsePosition(text.slice(0, colon));
  const previous = Number(text.slice(colon + 1));
  return position === undefined || !Number.isSafeInteger(previous) ? undefined : { ...position, previous };
}
