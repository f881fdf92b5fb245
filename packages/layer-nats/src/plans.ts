import { randomBytes } from 'node:crypto';
import { ID_MEMORY_MS, LayerError, matchesRooms, type HistoryRule } from '@busgate/layer/driver';
import type { StreamInfo } from './jetstream.ts';
import { readRecord, writeRecord } from './record.ts';
import type { StreamPlan } from './streams.ts';
import type { Subjects } from './subjects.ts';

/** How much longer than a rule says messages stay in the stream, so that a position that has just expired still tells what followed it. */
const WITNESS_FACTOR = 2;
/** How long the newest position of a quiet room is known, at least. */
const QUIET_MS = 86_400_000;

/** The stream that keeps the rooms of a rule. Rules that cover each other's rooms share one, as large as the largest; readers trim to their own rule. */
export interface HistoryPlan extends StreamPlan {
  readonly rules: readonly HistoryRule[];
}

/**
 * A stream's subjects may not overlap with another's: a rule whose rooms all are another's rooms too goes into that one's stream.
 * @throws LayerError INVALID_OPTION where two rules overlap and neither covers the other
 */
export function planHistories(rules: readonly HistoryRule[], subjects: Subjects): ReadonlyMap<HistoryRule, HistoryPlan> {
  const widest = rules.filter(
    (rule) => !rules.some((other) => covers(other.rooms, rule.rooms) && !(covers(rule.rooms, other.rooms) && rules.indexOf(rule) <= rules.indexOf(other))),
  );
  for (const [index, rule] of widest.entries()) {
    const clash = widest.slice(index + 1).find((other) => overlap(rule.rooms, other.rooms));
    if (clash !== undefined) {
      throw new LayerError(
        'INVALID_OPTION',
        `history: on NATS the rules ${rule.rooms} and ${clash.rooms} cannot both be kept, since some rooms are in both and neither covers the other; add a rule that covers both`,
      );
    }
  }
  const plans = new Map<HistoryRule, HistoryPlan>();
  for (const top of widest) {
    const inside = rules.filter((rule) => covers(top.rooms, rule.rooms));
    const plan: HistoryPlan = {
      rules: inside,
      name: subjects.roomStream(top.rooms),
      subjects: [subjects.room(top.rooms), subjects.probe(subjects.roomStream(top.rooms))],
      // JetStream forgets ids with the messages that carried them.
      maxAgeMs: Math.max(ID_MEMORY_MS, WITNESS_FACTOR * Math.max(...inside.map(({ ageMs }) => ageMs))),
      remembersIdsMs: ID_MEMORY_MS,
      maxPerSubject: Math.max(...inside.map(({ size }) => size)) + 1,
      fixed: (start = '') => {
        const epoch = randomBytes(8).toString('hex');
        const description = writeRecord({ start, epoch, grown: 0, flushed: 0 }, epoch);
        return { retention: 'limits', discard: 'old', allow_direct: true, republish: subjects.republish(epoch), description };
      },
      onGrowth: (there) => ({ description: grownDescription(there, subjects) }),
      keepsLongerAge: false,
      differs: true,
    };
    for (const rule of inside) plans.set(rule, plan);
  }
  return plans;
}

/** A room may have had more than the stream has kept of it so far. */
function grownDescription({ config, state }: StreamInfo, subjects: Subjects): string {
  const made = subjects.madeWith(config);
  return writeRecord({ ...readRecord(config.description, made), grown: state.last_seq }, made);
}

/**
 * The stream that keeps the newest two messages of each room for longer than the rooms themselves do, so that a position in a quiet room is good
 * long after its message expired: nothing followed it, or one message, and both are known.
 */
export function planHeads(plans: Iterable<HistoryPlan>, subjects: Subjects): StreamPlan {
  return {
    name: `${subjects.streams}_HEAD`,
    subjects: [subjects.all('live')],
    maxAgeMs: Math.max(QUIET_MS, ...[...plans].map(({ maxAgeMs }) => maxAgeMs)),
    maxPerSubject: 2,
    fixed: () => ({ retention: 'limits', discard: 'old', allow_direct: true }),
    keepsLongerAge: true,
  };
}

/** Whether every room of `inner` is one of `outer` too: a pattern's own levels stand for any. */
function covers(outer: string, inner: string): boolean {
  const wanted = outer.split('.');
  const levels = inner.split('.');
  if (levels.at(-1) === '>' && wanted.at(-1) !== '>') return false;
  if (levels.some((level, index) => level === '*' && wanted[index] !== '*' && wanted[index] !== '>' && index < wanted.length)) return false;
  return levels.at(-1) === '>' && levels.length < wanted.length ? false : matchesRooms(outer, inner);
}

/** Whether a room can be in both. */
function overlap(a: string, b: string): boolean {
  const one = a.split('.');
  const two = b.split('.');
  for (let index = 0; ; index += 1) {
    const [left, right] = [one[index], two[index]];
    if (left === undefined || right === undefined) return left === right;
    if (left === '>' || right === '>') return true;
    if (left !== '*' && right !== '*' && left !== right) return false;
  }
}
