import { LayerError } from './errors.ts';

const NAME = /^[A-Za-z0-9_:@-]+(?:\.[A-Za-z0-9_:@-]+)*$/;
const PROCESS_CHANNEL = /^(?:[A-Za-z0-9_:@-]+\.)+([A-Za-z0-9_:@-]+)!([A-Za-z0-9_:@-]+)$/;

/** What a name may be: ASCII letters, digits, single dots between levels, and the marks. */
export interface NameRule {
  readonly maxLength: number;
  /** Each of them one of `_:@-`. */
  readonly marks: string;
}

/** The rule of all layers that do not declare a narrower one. */
export const NAMES: NameRule = { maxLength: 200, marks: '_:@-' };

/** A rule in one sentence, for errors and documents. */
function sentence({ maxLength, marks }: NameRule): string {
  return `a name is 1 to ${maxLength} ASCII letters, digits and ${Array.from(marks).join(' ')}, with single dots between levels (none first, last or doubled)`;
}

export const NAME_RULE: string = sentence(NAMES);

/** Whether `name` may name a room, a group or a worker queue: such a name is a NATS subject and part of a Redis key as it stands, and never a wildcard. */
export function isName(name: unknown): name is string {
  return typeof name === 'string' && keeps(name, NAMES) && NAME.test(name);
}

/** Whether what is made of the characters of names is no longer than that rule allows, and has none of the marks that it does not. */
function keeps(name: string, rule: NameRule): boolean {
  if (name.length > rule.maxLength) return false;
  return rule.marks === NAMES.marks || !Array.from(NAMES.marks).some((mark) => !rule.marks.includes(mark) && name.includes(mark));
}

/**
 * Refuses what is not a name, before anything is sent.
 * @throws LayerError INVALID_NAME
 */
export function checkName(
  kind: 'room' | 'group' | 'channel' | 'channel prefix' | 'set' | 'key',
  name: unknown,
  rule: NameRule = NAMES,
): asserts name is string {
  if (!isName(name) || !keeps(name, rule)) throw new LayerError('INVALID_NAME', `${kind} name ${quote(name)} is not allowed: ${where(rule)}${sentence(rule)}`);
}

function where(rule: NameRule): string {
  return rule === NAMES ? '' : 'on this layer ';
}

/** The rule for a layer's prefix in one sentence. */
export const PREFIX_RULE = 'a prefix is 1 to 100 ASCII letters, digits and _ -';

/** Whether `prefix` may stand before everything a layer has in the broker: one level, so that what one prefix names is never inside another one. */
export function isPrefix(prefix: unknown): prefix is string {
  return typeof prefix === 'string' && /^[A-Za-z0-9_-]{1,100}$/.test(prefix);
}

/**
 * Refuses what is no prefix.
 * @throws LayerError INVALID_NAME
 */
export function checkPrefix(prefix: unknown): asserts prefix is string {
  if (!isPrefix(prefix)) throw new LayerError('INVALID_NAME', `prefix ${quote(prefix)} is not allowed: ${PREFIX_RULE}`);
}

/** Where a channel lives: in one process, or with the broker as a worker queue. */
export type ChannelAddress = { readonly process: string } | { readonly queue: string };

/**
 * Reads a channel's name.
 * @throws LayerError INVALID_NAME
 */
export function channelAddress(channel: unknown, rule: NameRule = NAMES): ChannelAddress {
  const kept = typeof channel === 'string' && keeps(channel, rule);
  if (kept && NAME.test(channel)) return { queue: channel };
  const match = kept ? PROCESS_CHANNEL.exec(channel) : null;
  if (match?.[1] === undefined) {
    throw new LayerError(
      'INVALID_NAME',
      `channel name ${quote(channel)} is not allowed: ${where(rule)}${sentence(rule)}; what newChannel made also holds one "!"`,
    );
  }
  return { process: match[1] };
}

/** `prefix.<process>!<id>`: the name of a channel that only that process listens to. */
export function processChannel(prefix: string, process: string, id: string, rule: NameRule = NAMES): string {
  checkName('channel prefix', prefix, rule);
  const name = `${prefix}.${process}!${id}`;
  if (name.length > rule.maxLength) {
    throw new LayerError('INVALID_NAME', `prefix ${quote(prefix)} is too long: with its id a channel name has at most ${rule.maxLength} characters`);
  }
  return name;
}

/** A name as an error shows it: never more than 60 characters of it, all that is not printable ASCII escaped. */
function quote(name: unknown): string {
  if (typeof name !== 'string') return `of type ${name === null ? 'null' : typeof name}`;
  const shown = JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}...` : name);
  return shown.replaceAll(/[^ -~]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
