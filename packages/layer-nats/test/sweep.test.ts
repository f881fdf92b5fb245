import { describe, expect, test } from 'vitest';
import type { StreamInfo } from '../src/jetstream.ts';
import { together, type Wanted } from '../src/sweep.ts';

/** A stream of so many messages of one size. */
function stream(messages: number, size = 200): StreamInfo {
  const state = { first_seq: 1, last_seq: messages, last_ts: '', messages, bytes: messages * size };
  return { created: '', config: { name: 'ROOMS', subjects: [], max_age: 0, max_msgs_per_subject: 100, num_replicas: 1 }, state };
}

/** Who wants the newest so many of a stream. */
function wants(count: number, newest: number, of: number): Wanted[] {
  return Array.from({ length: count }, (_, index) => ({ subject: `${index}`, range: { from: of - newest + 1, to: of - index } }));
}

describe('those who are read together', () => {
  test('are all who want about the same', () => {
    const all = wants(100, 20_000, 50_000);
    expect(together(stream(50_000), all)).toHaveLength(100);
  });

  test('are none where they are few', () => {
    expect(together(stream(1000), wants(15, 100, 1000))).toEqual([]);
    expect(together(stream(1000), wants(16, 100, 1000))).toHaveLength(16);
  });

  test('do not read more that nobody wants than they save', () => {
    expect(together(stream(100_000), wants(20, 20_000, 100_000))).toEqual([]);
    const recent = wants(20, 1000, 100_000);
    expect(new Set(together(stream(100_000), [...wants(3, 90_000, 100_000), ...recent]))).toEqual(new Set(recent));
  });

  test('do not read more bytes than they save, nor more than this process should hold', () => {
    expect(together(stream(1000, 100_000), wants(20, 100, 1000))).toEqual([]);
    expect(together(stream(1000, 100_000), wants(100, 100, 1000))).toHaveLength(100);
    expect(together(stream(1000, 100_000), wants(500, 900, 1000))).toEqual([]);
  });
});
