import type { ChannelLayer } from '../layer.ts';
import { rejects } from './expect.ts';
import type { Stage } from './stage.ts';
import type { Need } from './suite.ts';

const CALLS: Readonly<Record<Need, (layer: ChannelLayer) => readonly Promise<unknown>[]>> = {
  history: (layer) => [layer.publish('kept', 'x'), layer.subscribe('kept', () => undefined)],
  queues: (layer) => [layer.send('work', { a: 1 }), layer.receive('work'), layer.groupAdd('group', 'work'), layer.groupDiscard('group', 'work')],
  groups: (layer) => [layer.groupAdd('group', layer.newChannel()), layer.groupDiscard('group', layer.newChannel()), layer.groupSend('group', { a: 1 })],
};

/** A call beyond the layer's capabilities rejects with UNSUPPORTED, naming the layers that can. */
export async function assertUnsupported(stage: Stage, need: Need): Promise<void> {
  const layer = await stage.open({ history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
  for (const call of CALLS[need](layer)) await rejects(call, 'UNSUPPORTED', 'memory:');
}
