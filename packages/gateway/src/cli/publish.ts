import { Buffer } from 'node:buffer';
import { ConfigError } from '../config/faults.ts';
import { type Line, LineSplitter, MAX_LINE } from './lines.ts';
import { MAX_IN_FLIGHT, openPublisher, type Publisher } from './publisher.ts';
import { note, reasonOf } from './reasons.ts';
import { readCall } from './target.ts';

/** Signals end it at once, also where it is the first process of a container. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * `busgate publish ROOM [TEXT|-]`.
 * @returns 0 when every message was accepted, else 1
 */
export async function publish(argv: readonly string[]): Promise<number> {
  const { room, words, target } = readCall(argv);
  if (words.length > 1) throw new ConfigError(['publish takes one TEXT: put it in quotes']);
  for (const [signal, code] of Object.entries(SIGNALS)) process.once(signal, () => process.exit(code));
  const publisher = await openPublisher(target, room);
  const lines = new LinePublisher(publisher);
  const [text = '-'] = words;
  if (text === '-') await publishLines(process.stdin, lines);
  else await lines.add(Buffer.from(text));
  await lines.done();
  await publisher.close();
  return lines.allAccepted ? 0 : 1;
}

async function publishLines(input: AsyncIterable<Buffer>, lines: LinePublisher): Promise<void> {
  const splitter = new LineSplitter();
  for await (const piece of input) for (const line of splitter.push(piece)) await lines.add(line);
  for (const line of splitter.end()) await lines.add(line);
}

/** Sends in order, a bounded number at a time, and tells each distinct reason of failure once. */
class LinePublisher {
  readonly #publisher: Publisher;
  readonly #underWay: Promise<void>[] = [];
  readonly #reasons = new Set<string>();

  constructor(publisher: Publisher) {
    this.#publisher = publisher;
  }

  get allAccepted(): boolean {
    return this.#reasons.size === 0;
  }

  /** Resolves when there is room for the next one. */
  async add(line: Line): Promise<void> {
    const sent = line === undefined ? Promise.reject(new Error(`a line is longer than ${MAX_LINE} bytes`)) : this.#publisher.publish(line);
    this.#underWay.push(sent.catch((error: unknown) => this.#failed(reasonOf(error))));
    if (this.#underWay.length >= MAX_IN_FLIGHT) await this.#underWay.shift();
  }

  async done(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  #failed(reason: string): void {
    if (this.#reasons.has(reason)) return;
    this.#reasons.add(reason);
    note('publish', `not accepted: ${reason}`);
  }
}
