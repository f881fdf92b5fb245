import { type Key, type Schema, schema } from './schema.ts';

const ANY = schema({ demo: false, descriptors: 1024, readFile: () => '', directory: '' });

/** Every key, in the order of documents. */
export const KEYS = Object.keys(ANY) as readonly Key[];

/** The schema with presets as documents show them. */
export const DOCUMENTED: Schema = ANY;

export function isKey(name: string): name is Key {
  return Object.hasOwn(ANY, name);
}

/** `drain.notice` is `--drain-notice`. */
export function flagOf(key: Key): string {
  return `--${words(key).join('-')}`;
}

/** `drain.notice` is `BUSGATE_DRAIN_NOTICE`. */
export function variableOf(key: Key): string {
  return `BUSGATE_${words(key).join('_').toUpperCase()}`;
}

function words(key: Key): string[] {
  return key.split(/[._]/);
}
