import type { Writable } from 'node:stream';
import { type Fields, jsonLine, type Level, readableLine } from './log/format.ts';
import { LineSink } from './log/sink.ts';

/**
 * The operator's log. `message` is a fixed text, the kind of the line; what varies goes into `fields`: lines are limited per kind.
 * Never pass a credential.
 */
export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

const RANK: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
/** Lines of one kind in a window; the rest is counted and told. */
const LINES_A_WINDOW = 20;
const WINDOW_MS = 10_000;
/** Kinds are fixed texts, so there are few; a caller who breaks that rule does not fill the memory. */
const MAX_KINDS = 1000;

interface Kind {
  readonly level: Level;
  readonly message: string;
  lines: number;
  suppressed: number;
}

export interface LogOptions {
  /** The least that is logged. */
  readonly level: Level;
  readonly stream: Writable;
  /** Lines for people instead of JSON. */
  readonly readable: boolean;
  /** In every line. */
  readonly common?: Fields;
}

/** Writes lines to a stream: JSON, or readable ones; limited per kind; it survives a reader that is gone or does not read. */
export class StreamLog implements Log {
  readonly #least: number;
  readonly #format: typeof jsonLine;
  readonly #sink: LineSink;
  readonly #common: Fields;
  readonly #kinds = new Map<string, Kind>();
  #window: NodeJS.Timeout | undefined;
  #suppressed = 0;
  #told = 0;

  constructor(options: LogOptions) {
    this.#least = RANK[options.level];
    this.#format = options.readable ? readableLine : jsonLine;
    this.#sink = new LineSink(options.stream);
    this.#common = options.common ?? {};
  }

  /** Lines that were not written: too many of a kind, or nobody read them. */
  get dropped(): number {
    return this.#suppressed + this.#sink.dropped;
  }

  debug(message: string, fields: Fields = {}): void {
    this.#log('debug', message, fields);
  }

  info(message: string, fields: Fields = {}): void {
    this.#log('info', message, fields);
  }

  warn(message: string, fields: Fields = {}): void {
    this.#log('warn', message, fields);
  }

  error(message: string, fields: Fields = {}): void {
    this.#log('error', message, fields);
  }

  /** Tells what was suppressed and waits, a second at most, until everything is written. */
  async close(): Promise<void> {
    this.#endWindow();
    await this.#sink.flush(1000);
  }

  #log(level: Level, message: string, fields: Fields): void {
    if (RANK[level] < this.#least) return;
    const kind = this.#kindOf(level, message);
    if (kind.lines >= LINES_A_WINDOW) {
      kind.suppressed += 1;
      this.#suppressed += 1;
      return;
    }
    kind.lines += 1;
    this.#write(level, message, fields);
  }

  #kindOf(level: Level, message: string): Kind {
    const known = this.#kinds.get(message);
    if (known !== undefined) return known;
    if (this.#kinds.size >= MAX_KINDS) this.#endWindow();
    const kind = { level, message, lines: 0, suppressed: 0 };
    this.#kinds.set(message, kind);
    this.#window ??= setTimeout(() => this.#endWindow(), WINDOW_MS).unref();
    return kind;
  }

  #endWindow(): void {
    clearTimeout(this.#window);
    this.#window = undefined;
    const suppressed = [...this.#kinds.values()].filter((kind) => kind.suppressed > 0);
    this.#kinds.clear();
    for (const kind of suppressed) this.#write(kind.level, kind.message, { suppressed: kind.suppressed });
  }

  #write(level: Level, message: string, fields: Fields): void {
    const dropped = this.#sink.dropped;
    const untold = dropped - this.#told;
    const all = { ...this.#common, ...fields, ...(untold > 0 ? { lines_dropped_before: untold } : {}) };
    if (this.#sink.write(this.#format(new Date(), level, message, all))) this.#told = dropped;
  }
}
