import type { HistoryOptions, HistoryReading, PositionedMessage } from './contract.ts';
import { formatPosition } from './position.ts';
import type { KeptMessage } from './recent-messages.ts';
import type { ReadAnswer } from './shared-reads.ts';

/** What one reader is given of what was read for all: the oldest of it, as far as the limits go, or without `since` the newest. */
export function readingOf(answer: ReadAnswer, hasSince: boolean, limits: Required<HistoryOptions>): HistoryReading {
  const { messages, first, epoch, head, complete } = answer;
  const [from, to] = hasSince ? [first, endOf(messages, first, limits)] : [beginOf(messages, first, limits), messages.length];
  const more = to < messages.length;
  const last = messages[to - 1];
  return {
    messages: messages.slice(from, to).map(({ message }): PositionedMessage => message),
    position: more && last !== undefined ? last.message.position : formatPosition({ epoch, offset: head }),
    ...(hasSince ? { recovered: complete } : {}),
    more,
  };
}

function endOf(messages: readonly KeptMessage[], from: number, { limit, bytes }: Required<HistoryOptions>): number {
  const end = Math.min(messages.length, from + limit);
  let to = from;
  for (let sum = 0; to < end; to += 1) {
    sum += messages[to]?.message.payload.length ?? 0;
    if (sum > bytes && to > from) break;
  }
  return to;
}

function beginOf(messages: readonly KeptMessage[], first: number, { limit, bytes }: Required<HistoryOptions>): number {
  const begin = Math.max(first, messages.length - limit);
  let from = messages.length;
  for (let sum = 0; from > begin; from -= 1) {
    sum += messages[from - 1]?.message.payload.length ?? 0;
    if (sum > bytes && from < messages.length) break;
  }
  return from;
}
