import type { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { ChannelLayer } from '@busgate/layer';
import { expect } from 'vitest';
import { Collector } from '../../../test/support/events.ts';

const LARGEST = 1_048_576;
/** Every so many one is large. */
const LARGE_EACH = 200;
const OFTEN = 2000;

/** Payloads by their number: any bytes, and many that look like the protocol's own; most of up to 2,000 bytes, some of up to 1 MiB, some empty. */
function payloads(count: number): (index: number) => Buffer {
  const source = randomBytes(LARGEST * 2);
  for (let at = 0; at < source.length - 100; at += 10 + (source[at] ?? 0))
    source.write(at % 2 === 0 ? '\r\n' : '\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n', at, 'latin1');
  const sizes = Array.from({ length: count }, (_, index) => {
    if (index === 1) return LARGEST;
    return Math.floor(Math.random() * (index % LARGE_EACH === 0 ? LARGEST : OFTEN)) * (index % 50 === 3 ? 0 : 1);
  });
  const starts = sizes.map(() => Math.floor(Math.random() * LARGEST));
  return (index) => source.subarray(starts[index] ?? 0, (starts[index] ?? 0) + (sizes[index] ?? 0));
}

/** So many of them are published in a room: `layer` gets each as it was, in order and once. */
export async function expectAll(layer: ChannelLayer, publisher: ChannelLayer, room: string, count: number): Promise<void> {
  const sent = payloads(count);
  let taken = 0;
  const wrong: number[] = [];
  const done = new Collector<'all'>();
  const subscription = await layer.subscribe(room, (event) => {
    if (event.gap === true || !sent(taken).equals(event.payload)) wrong.push(taken);
    taken += 1;
    if (taken === count) done.push('all');
  });
  for (let from = 0; from < count; from += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, index) => publisher.publish(room, sent(from + index))));
  }
  await done.next();
  await subscription.close();
  expect(wrong).toEqual([]);
}
