import type { Ability } from '../contract.ts';
import type { ChannelLayer } from '../layer.ts';
import { rejects, soon } from './expect.ts';
import type { Stage } from './stage.ts';

type Call = (layer: ChannelLayer) => Promise<unknown>;

const sendToWorker: Call = (layer) => layer.send('work', { a: 1 });

const sendWithOptions: Call = (layer) => layer.send('work', { a: 1 }, { expiryMs: 1000 });

const CALLS: Readonly<Record<Ability, readonly Call[]>> = {
  history: [
    (layer) => layer.publish('kept', 'x'),
    (layer) => layer.subscribe('kept', () => undefined),
    (layer) => layer.history('kept'),
    (layer) => layer.purge('kept'),
  ],
  queues: [sendToWorker, (layer) => layer.receive('work'), (layer) => layer.groupAdd('group', 'work'), (layer) => layer.groupDiscard('group', 'work')],
  groups: [
    (layer) => layer.groupAdd('group', layer.newChannel()),
    (layer) => layer.groupDiscard('group', layer.newChannel()),
    (layer) => layer.groupSend('group', { a: 1 }),
  ],
  leases: [(layer) => layer.lease()],
  sendOptions: [sendWithOptions],
  queueCapacities: [(layer) => layer.send('work', { a: 1 }, { capacity: 1 })],
  records: [(layer) => layer.records.keep('set', 'key', {}, new Date(Date.now() + 60_000)), (layer) => layer.records.all('set')],
  traces: [(layer) => layer.publish('live', 'x', { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` })],
  publishIds: [(layer) => layer.publish('kept', 'x', { id: 'key' })],
};

/** A call beyond the layer's capabilities rejects with UNSUPPORTED, with the layer's reason where it has one, naming the layers that can. */
export async function assertUnsupported(stage: Stage, need: Ability): Promise<void> {
  const layer = await stage.open({ history: [{ rooms: 'kept', size: 10, ageMs: 60_000 }] });
  const { lacks, sendsToWorkers } = layer.capabilities;
  for (const call of CALLS[need]) {
    if (call === sendToWorker && sendsToWorkers === true) await soon(call(layer), 'send to a worker outside');
    else await rejects(call(layer), 'UNSUPPORTED', 'memory:', lacks?.[need] ?? '');
  }
}
