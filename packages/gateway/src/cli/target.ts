import { isName, isPrefix, LAYER_URLS, type LayerOptions, NAME_RULE, PREFIX_RULE } from '@busgate/layer';
import { parseYaml } from '../config/file.ts';
import { type FlagNames, readFlags } from '../config/flags.ts';
import { ConfigError, sentence, shown } from '../config/faults.ts';
import { history } from '../config/history.ts';
import { layerUrl } from '../config/layer-url.ts';

/** Where `publish` and `subscribe` go: through a gateway, or straight onto a broker. */
export type CommandTarget = { readonly kind: 'gateway'; readonly url: URL } | { readonly kind: 'layer'; readonly url: string; readonly options: LayerOptions };

export interface RoomCall {
  readonly room: string;
  /** What follows the room. */
  readonly words: readonly string[];
  readonly target: CommandTarget;
}

export const DEFAULT_URL = 'http://localhost:8080';
const FLAGS: FlagNames = { url: false, layer: false, prefix: false, history: false };

/**
 * Reads `ROOM …` and the flags that say where to.
 * @throws ConfigError with every fault; nothing was connected
 */
export function readCall(argv: readonly string[]): RoomCall {
  const { values, words, faults: read } = readFlags(argv, FLAGS);
  const faults = [...read];
  const [room = '', ...rest] = words;
  if (words.length === 0) faults.push('ROOM is missing');
  else if (!isName(room)) faults.push(`ROOM is ${shown(room, false)}, but ${NAME_RULE}`);
  const said = (name: string) => {
    const value = values.get(name);
    return value === true ? undefined : value;
  };
  const layer = said('layer');
  const target = layer === undefined ? gatewayTarget(said('url') ?? DEFAULT_URL, faults) : layerTarget(layer, said('prefix'), said('history'), faults);
  if (layer !== undefined && said('url') !== undefined)
    faults.push('--url and --layer are both said: the one goes through a gateway, the other straight onto the broker');
  if (layer === undefined && (said('prefix') ?? said('history')) !== undefined) faults.push('--prefix and --history belong to --layer: a gateway has its own');
  if (faults.length > 0) throw new ConfigError(faults);
  return { room, words: rest, target };
}

/** The room's path at the gateway. */
export function roomUrl(base: URL, room: string): URL {
  const url = new URL(base);
  url.pathname = `${base.pathname.replace(/\/$/, '')}/room/${room}`;
  return url;
}

function gatewayTarget(written: string, faults: string[]): CommandTarget {
  const url = URL.canParse(written) ? new URL(written) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.search === '' && url.hash === '') return { kind: 'gateway', url };
  faults.push(sentence('--url', { got: written, must: `the http or https URL of a gateway, such as ${DEFAULT_URL}` }, true));
  return { kind: 'gateway', url: new URL(DEFAULT_URL) };
}

/** A broker, by what `--layer`, `--prefix` and `--history` say. */
export function layerTarget(
  written: string,
  prefix: string | undefined,
  rules: string | undefined,
  faults: string[],
): Extract<CommandTarget, { kind: 'layer' }> {
  const url = layerUrl.read(written, (fault) => faults.push(sentence('--layer', fault, true))) ?? '';
  if (url.startsWith('memory:'))
    faults.push(
      `--layer memory: is a bus within one process, so nobody else would be on it; layers that others can share: ${LAYER_URLS.replace('memory:, ', '')}`,
    );
  if (prefix !== undefined && !isPrefix(prefix)) faults.push(`--prefix is ${shown(prefix, false)}, but ${PREFIX_RULE}`);
  const kept = rules === undefined ? [] : history.read(parseYaml(rules, '--history', faults), (fault) => faults.push(sentence('--history', fault, false)));
  return { kind: 'layer', url, options: { history: kept ?? [], ...(prefix === undefined ? {} : { prefix }) } };
}
