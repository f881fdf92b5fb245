import type { SettingKey } from './schema.ts';

/** What was said for one key, and how the place where it was said is called. */
export interface Said {
  readonly raw: unknown;
  readonly where: string;
}

/** What one place says: the file, the environment or the flags. */
export interface Source {
  readonly said: ReadonlyMap<SettingKey, Said>;
  /** What could not be read at all, one sentence each. */
  readonly faults: readonly string[];
  /** It may have said anything. */
  readonly unreadable?: true;
}
