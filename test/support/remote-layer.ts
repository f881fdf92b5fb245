/**
 * A layer in a process of its own, driven through its standard streams, a JSON value a line: `node remote-layer.ts <url> <options>`.
 * In: `{id, call, args}`. Out: `{id, outcome}`, where the outcome is `ok` or an error's code, and `{room, event}`.
 */
import { Buffer } from 'node:buffer';
import { createInterface } from 'node:readline';
import { openLayer, type LayerOptions, type Lease } from '@busgate/layer';

const [, , url = '', options = '{}'] = process.argv;
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
const layer = await openLayer(url, JSON.parse(options) as LayerOptions);

let lease: Lease | undefined;

const calls: Record<string, (first: string, second: string) => unknown> = {
  publish: async (room, text) => layer.publish(room, text),
  listen: async (room) => {
    await layer.subscribe(room, (event) => say({ room, event: event.gap === true ? 'GAP' : Buffer.from(event.payload).toString() }));
  },
  groupAdd: async (group, channel) => layer.groupAdd(group, channel),
  join: async (group) => {
    const channel = layer.newChannel();
    await layer.groupAdd(group, channel);
    return channel;
  },
  receive: async (channel) => layer.receive(channel),
  lease: async (ttlMs) => {
    lease = await layer.lease({ ttlMs: Number(ttlMs) });
  },
  /** Holds so many records, each with a message to the queue that says whose it is and which. */
  hold: async (of, count) => {
    const keys = Array.from({ length: Number(count) }, (_, n) => n);
    await Promise.all(keys.map(async (n) => lease?.hold(`${n}`, { channel: 'work', message: { of, n } })));
  },
  settle: async (key) => lease?.settle(key, { late: key }),
  isLost: () => lease?.lost.aborted,
  status: () => layer.status,
  stats: () => layer.stats,
};

const NEVER = new Int32Array(new SharedArrayBuffer(4));

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, call, args } = JSON.parse(line) as { id: number; call: string; args: [string, string] };
  if (call === 'block') {
    say({ id, outcome: 'ok' });
    Atomics.wait(NEVER, 0, 0, Number(args[0]));
    return;
  }
  void (async () => calls[call]?.(...args))().then(
    (value) => say({ id, outcome: 'ok', value }),
    (error: { code?: string; message: string }) => say({ id, outcome: error.code ?? 'failed', value: error.message }),
  );
});
say({ ready: true });
