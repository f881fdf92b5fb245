import { hint } from './nearest.ts';
import type { Report, ValueType } from './types.ts';

/** Reads the members of one item of a list; tells what is missing, wrong or unknown. */
export class MemberReader {
  readonly #raw: Readonly<Record<string, unknown>>;
  readonly #report: Report;

  private constructor(raw: Readonly<Record<string, unknown>>, report: Report) {
    this.#raw = raw;
    this.#report = report;
  }

  /** Undefined, and told, where the item is no map. */
  static of(raw: unknown, must: string, report: Report): MemberReader | undefined {
    if (typeof raw === 'object' && raw !== null && !Array.isArray(raw)) return new MemberReader(raw as Record<string, unknown>, report);
    report({ got: raw, must });
    return undefined;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#raw, name);
  }

  /** The member's value; `preset` where it is not there, and without a preset it must be. */
  take<T>(name: string, type: ValueType<T>, preset?: T): T | undefined {
    const raw = this.#raw[name];
    if (raw !== undefined) return type.read(raw, within(this.#report, `.${name}`));
    if (preset === undefined) this.#report({ at: `.${name}`, must: `said: ${type.allowed}` });
    return preset;
  }

  /** A member that is there and must not be. */
  refuse(name: string, must: string): void {
    this.#report({ at: `.${name}`, must });
  }

  refuseOthers(owner: string, known: readonly string[]): void {
    for (const name of Object.keys(this.#raw)) {
      if (!known.includes(name)) this.#report({ at: `.${name}`, must: `left out: ${owner} has ${known.join(', ')}${hint(name, known)}` });
    }
  }
}

/** The object where each member of it could be read. */
export function complete<T extends object>(members: { [K in keyof T]: T[K] | undefined }): T | undefined {
  return Object.values(members).includes(undefined) ? undefined : (members as T);
}

/** The items of a list, which in a variable or a flag stand between commas; undefined for what is none. */
export function itemsOf(raw: unknown): readonly unknown[] | undefined {
  if (Array.isArray(raw)) return raw;
  return typeof raw === 'string' ? raw.split(',').map((item) => item.trim()) : undefined;
}

/** Reads each item of a list; undefined where one could not be read. */
export function readItems<T>(raw: readonly unknown[], read: (item: unknown, report: Report) => T | undefined, report: Report): readonly T[] | undefined {
  const items = raw.map((item, index) => read(item, within(report, `[${index}]`)));
  const good = items.filter((item) => item !== undefined);
  return good.length === items.length ? good : undefined;
}

function within(report: Report, at: string): Report {
  return (fault) => report({ ...fault, at: `${at}${fault.at ?? ''}` });
}
