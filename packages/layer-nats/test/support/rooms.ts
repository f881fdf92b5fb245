import { Buffer } from 'node:buffer';
import type { ChannelLayer } from '@busgate/layer';
import { expect } from 'vitest';
import { Collector } from '../../../../test/support/events.ts';

/** What a room's listener gets, as text; `GAP` for a gap. */
export async function listen(layer: ChannelLayer, room: string): Promise<Collector<string>> {
  const events = new Collector<string>();
  await layer.subscribe(room, (event) => events.push(event.gap === true ? 'GAP' : Buffer.from(event.payload).toString()));
  return events;
}

/** Resolves when the layer has that state. */
export async function state(layer: ChannelLayer, wanted: 'connected' | 'away'): Promise<void> {
  await expect.poll(() => layer.status.state, { interval: 2 }).toBe(wanted);
}
