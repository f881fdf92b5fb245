import { type SettingKey, type SettingsSchema, schema } from './schema.ts';

const ANY = schema({ demo: false, descriptors: 1024, readFile: () => '', directory: '' });

/** Every key, in the order of documents. */
export const KEYS = Object.keys(ANY) as readonly SettingKey[];

/** The schema with presets as documents show them. */
export const DOCUMENTED: SettingsSchema = ANY;

export function isKey(name: string): name is SettingKey {
  return Object.hasOwn(ANY, name);
}

/** `drain.notice` is `--drain-notice`. */
export function flagOf(key: SettingKey): string {
  return `--${words(key).join('-')}`;
}

/** `drain.notice` is `BUSGATE_DRAIN_NOTICE`. */
export function variableOf(key: SettingKey): string {
  return `BUSGATE_${words(key).join('_').toUpperCase()}`;
}

function words(key: SettingKey): string[] {
  return key.split(/[._]/);
}
