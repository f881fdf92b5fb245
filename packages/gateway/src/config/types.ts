/** What is wrong with a value: which part of it, what was given, what would do. */
export interface Fault {
  /** The member inside the value, such as `[0].path`; absent for the value itself. */
  readonly at?: string;
  /** What was given; absent where something is missing. */
  readonly got?: unknown;
  /** In words, after "must be" or on its own. */
  readonly must: string;
}

export type Report = (fault: Fault) => void;

/** How a setting's value is written and read. */
export interface ValueType<T> {
  /** One word for tables: duration, size, … */
  readonly name: string;
  /** What is allowed, after "must be". Units are named where there are any. */
  readonly allowed: string;
  /** What a flag shows as its argument; absent where the flag stands alone. */
  readonly placeholder?: string;
  /** Reads what a file, a variable or a flag holds. Tells what is wrong, and gives undefined where nothing can be made of it. */
  read(raw: unknown, report: Report): T | undefined;
  /** The value as the file would say it. */
  write(value: T): unknown;
}

interface Unit {
  readonly name: string;
  readonly factor: number;
}

const DURATION_UNITS: readonly Unit[] = [
  { name: 'ms', factor: 1 },
  { name: 's', factor: 1000 },
  { name: 'm', factor: 60_000 },
  { name: 'h', factor: 3_600_000 },
  { name: 'd', factor: 86_400_000 },
];
const SIZE_UNITS: readonly Unit[] = [
  { name: 'B', factor: 1 },
  { name: 'KiB', factor: 1024 },
  { name: 'MiB', factor: 1024 ** 2 },
  { name: 'GiB', factor: 1024 ** 3 },
];

/** A length of time, in milliseconds. Timers take no more than 2^31 - 1 of them. */
export function duration(from: string, to: string): ValueType<number> {
  return withUnit('duration', DURATION_UNITS, '5s', from, to);
}

/** An amount of memory, in bytes. */
export function size(from: string, to: string): ValueType<number> {
  return withUnit('size', SIZE_UNITS, '64KiB', from, to);
}

/** A whole number of things. */
export function count(from: number, to: number): ValueType<number> {
  const allowed = `a whole number from ${from} to ${to}`;
  return {
    name: 'number',
    allowed,
    placeholder: 'N',
    read(raw, report) {
      const value = typeof raw === 'string' && /^\d{1,15}$/.test(raw) ? Number(raw) : raw;
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= from && value <= to) return value;
      report({ got: raw, must: allowed });
      return undefined;
    },
    write: (value) => value,
  };
}

/** A value, or a word for one that is found out when it is read. */
export function orWord<T>(type: ValueType<T>, word: string, value: () => T): ValueType<T> {
  return {
    ...type,
    allowed: `${type.allowed}, or ${word}`,
    placeholder: `${type.placeholder}|${word}`,
    read: (raw, report) => (raw === word ? value() : type.read(raw, (fault) => report({ ...fault, must: `${fault.must}, or ${word}` }))),
  };
}

/** A share of something, from `least` to 1, or how much it is. */
export function shareOr(type: ValueType<number>, least: number): ValueType<number> {
  const share = `a share from ${least} to 1`;
  return {
    ...type,
    allowed: `${share}, or ${type.allowed}`,
    placeholder: `SHARE|${type.placeholder}`,
    read(raw, report) {
      if (!isBareNumber(raw)) return type.read(raw, (fault) => report({ ...fault, must: `${share}, or ${fault.must}` }));
      const value = Number(raw);
      if (value >= least && value <= 1) return value;
      report({ got: raw, must: `${share}, or ${type.allowed}` });
      return undefined;
    },
    write: (value) => (value > 1 ? type.write(value) : value),
  };
}

/** On or off. A flag of this type stands alone, or says `=false`. */
export const toggle: ValueType<boolean> = {
  name: 'boolean',
  allowed: 'true or false',
  read(raw, report) {
    if (raw === true || raw === 'true' || raw === '1') return true;
    if (raw === false || raw === 'false' || raw === '0') return false;
    report({ got: raw, must: 'true or false' });
    return undefined;
  },
  write: (value) => value,
};

/** One of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): ValueType<T> {
  const allowed = wordList(words);
  return {
    name: 'word',
    allowed,
    placeholder: words.join('|'),
    read(raw, report) {
      const found = words.find((word) => word === raw);
      if (found === undefined) report({ got: raw, must: allowed });
      return found;
    },
    write: (value) => value,
  };
}

/** A text for which `test` holds. */
export function text(allowed: string, placeholder: string, test: (value: string) => boolean): ValueType<string> {
  return {
    name: 'text',
    allowed,
    placeholder,
    read(raw, report) {
      if (typeof raw === 'string' && test(raw)) return raw;
      report({ got: raw, must: allowed });
      return undefined;
    },
    write: (value) => value,
  };
}

/** "a, b or c". */
function wordList(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function withUnit(name: string, units: readonly Unit[], example: string, from: string, to: string): ValueType<number> {
  const least = amount(units, from) ?? 0;
  const most = amount(units, to) ?? 0;
  const unitNames = wordList(units.map((unit) => unit.name));
  const allowed = `a ${name} from ${from} to ${to} with its unit (${unitNames}), such as ${example}`;
  return {
    name,
    allowed,
    placeholder: name.toUpperCase(),
    read(raw, report) {
      const value = typeof raw === 'string' ? amount(units, raw) : undefined;
      if (value !== undefined && value >= least && value <= most) return value;
      report({ got: raw, must: isBareNumber(raw) ? `${allowed}; a number without a unit says too little` : allowed });
      return undefined;
    },
    write: (value) => writeAmount(units, value),
  };
}

function isBareNumber(raw: unknown): boolean {
  return typeof raw === 'number' || (typeof raw === 'string' && /^\d+(?:\.\d+)?$/.test(raw));
}

/** Undefined for what is no number with one of the units, or no whole number of the smallest. */
function amount(units: readonly Unit[], written: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)([A-Za-z]+)$/.exec(written);
  const unit = units.find(({ name }) => name === match?.[2]);
  if (match === null || unit === undefined) return undefined;
  const value = Number(match[1]) * unit.factor;
  return Number.isSafeInteger(value) ? value : undefined;
}

/** In the largest unit that divides it. */
function writeAmount(units: readonly Unit[], value: number): string {
  const unit = units.findLast(({ factor }) => value !== 0 && value % factor === 0) ?? units[0];
  return unit === undefined ? String(value) : `${value / unit.factor}${unit.name}`;
}
