import { escapeUnsafe } from '../escape.ts';

export type Level = 'debug' | 'info' | 'warn' | 'error';
export type Fields = Readonly<Record<string, unknown>>;

/** Longer texts are cut: a client chooses many of them. */
const MAX_TEXT = 256;
/** One JSON object and a line feed. */
export function jsonLine(time: Date, level: Level, message: string, fields: Fields): string {
  const line: Record<string, unknown> = { time: time.toISOString(), level, message: cut(message) };
  for (const [name, value] of Object.entries(fields)) line[name] = plain(value);
  return `${escapeUnsafe(JSON.stringify(line))}\n`;
}

/** For people at a terminal. */
export function readableLine(time: Date, level: Level, message: string, fields: Fields): string {
  const pairs = Object.entries(fields).map(([name, value]) => `  ${name}=${readable(plain(value))}`);
  return `${escapeUnsafe(`${time.toTimeString().slice(0, 8)} ${level.padEnd(5)} ${cut(message)}${pairs.join('')}`)}\n`;
}

function plain(value: unknown): string | number | boolean | null {
  switch (typeof value) {
    case 'string':
      return cut(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
      return value;
    case 'object':
      return value === null ? null : cut(describe(value));
    case 'bigint':
    case 'function':
    case 'symbol':
    case 'undefined':
      return String(value).slice(0, MAX_TEXT);
  }
}

function describe(value: object): string {
  if (value instanceof Error) return value.message;
  if (value instanceof Date) return value.toISOString();
  try {
    return JSON.stringify(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT).toWellFormed()}…` : text.toWellFormed();
}

function readable(value: string | number | boolean | null): string {
  return typeof value === 'string' && !/^[^\s"=]+$/.test(value) ? JSON.stringify(value) : String(value);
}
