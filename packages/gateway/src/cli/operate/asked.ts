import { readFileSync } from 'node:fs';
import type { Environment } from '../../config/environment.ts';
import { ConfigError, sentence } from '../../config/faults.ts';
import { type FlagNames, readFlags } from '../../config/flags.ts';

export const DEFAULT_OPS_URL = 'http://localhost:9090';
const KEY_VARIABLE = 'BUSGATE_OPS_KEY';
const COMMON: FlagNames = { 'ops-url': false, json: true };

/** Which gateway an operator asks, and how it is to be shown. */
export interface OperatorCall<F extends string> {
  readonly url: URL;
  readonly key: string;
  readonly json: boolean;
  readonly words: readonly string[];
  /** What was said of the flags of the command's own. */
  readonly said: Readonly<Partial<Record<F, string>>>;
}

/**
 * Reads the command line of a command that asks the ops API; its key is in the environment, never among the flags, which every user of the machine can see.
 * @throws ConfigError with every fault; nothing was connected
 */
export function readAsked<F extends string>(argv: readonly string[], env: Environment, flags: readonly F[], words: readonly string[]): OperatorCall<F> {
  const read = readFlags(argv, { ...COMMON, ...Object.fromEntries(flags.map((flag) => [flag, false])) });
  const faults = [...read.faults];
  const optional = words.filter((word) => word.startsWith('[')).length;
  if (read.words.length < words.length - optional) faults.push(`${words[read.words.length] ?? 'a word'} is missing`);
  if (read.words.length > words.length) faults.push(words.length === 0 ? 'this command takes flags alone' : `this command takes ${words.join(' ')}`);
  const url = urlOf((read.values.get('ops-url') as string | undefined) ?? DEFAULT_OPS_URL, faults);
  const key = keyOf(env, faults);
  if (faults.length > 0) throw new ConfigError(faults);
  const said = flags.flatMap((flag) => (read.values.has(flag) ? [[flag, read.values.get(flag)]] : []));
  return { url, key, json: read.values.has('json'), words: read.words, said: Object.fromEntries(said) as OperatorCall<F>['said'] };
}

/** @throws ConfigError where something was written that is not what it must be. `where`: the flag, or the word */
export function demand(where: string, written: string | undefined, isMeant: (written: string) => boolean, must: string): void {
  if (written !== undefined && !isMeant(written)) throw new ConfigError([sentence(where, { got: written, must }, false)]);
}

function urlOf(written: string, faults: string[]): URL {
  const url = URL.canParse(written) ? new URL(written) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.search === '' && url.hash === '') return url;
  faults.push(sentence('--ops-url', { got: written, must: `the http or https URL of an ops port, such as ${DEFAULT_OPS_URL}` }, true));
  return new URL(DEFAULT_OPS_URL);
}

/** From the variable, or from the file that another one names. */
function keyOf(env: Environment, faults: string[]): string {
  const key = env[KEY_VARIABLE] ?? '';
  const file = env[`${KEY_VARIABLE}_FILE`] ?? '';
  if (key !== '' || file === '') {
    if (key === '') faults.push(`${KEY_VARIABLE} must hold the key of the ops port, which is the setting ops.key of the gateway`);
    return key;
  }
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    faults.push(`${KEY_VARIABLE}_FILE names a file that cannot be read: ${(error as Error).message}`);
    return '';
  }
}
