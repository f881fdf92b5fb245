import { styleText } from 'node:util';
import { escapeUnsafe } from '../../escape.ts';

/** A column: its title, and how a row's value is shown. */
export interface Column<T> {
  readonly title: string;
  readonly show: (row: T) => string;
  /** Numbers stand at the right. */
  readonly right?: true;
  /** What is to be noticed. */
  readonly colour?: (row: T) => 'red' | 'yellow' | 'green' | undefined;
}

/** Whether colours are wanted: on a terminal, and nobody said NO_COLOR. */
export function wantsColour(stream: { readonly isTTY?: boolean }, env: Readonly<Record<string, string | undefined>>): boolean {
  return stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

/** Rows under a head, in columns as wide as they need to be; nothing in a cell can move the cursor. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[], colour: boolean): string {
  const cells = rows.map((row) => columns.map(({ show }) => escapeUnsafe(show(row))));
  const widths = columns.map(({ title }, index) => Math.max(title.length, ...cells.map((line) => line[index]?.length ?? 0)));
  const fill = (text: string, index: number): string => {
    const width = widths[index] ?? 0;
    if (columns[index]?.right === true) return text.padStart(width);
    return index === columns.length - 1 ? text : text.padEnd(width);
  };
  const painted = (text: string, style: 'red' | 'yellow' | 'green' | 'bold' | undefined): string =>
    colour && style !== undefined ? styleText(style, text, { validateStream: false }) : text;
  const head = columns.map(({ title }, index) => painted(fill(title, index), 'bold')).join('  ');
  const lines = cells.map((line, at) => line.map((text, index) => painted(fill(text, index), columns[index]?.colour?.(rows[at] as T))).join('  '));
  return [head, ...lines].map((line) => `${line.trimEnd()}\n`).join('');
}

/** `2d 3h`, `4m 5s`, `0.3s`: the two largest parts. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${Math.round(seconds * 10) / 10}s`;
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [Math.floor(seconds) % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}

/** `512 B`, `1.5 KiB`. */
export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  return count < 1024 ** 2 ? `${Math.round(count / 102.4) / 10} KiB` : `${Math.round(count / (1024 ** 2 / 10)) / 10} MiB`;
}
