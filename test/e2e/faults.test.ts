import { LAYER_FAULTS, type LayerFault } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import type { Broker } from '../support/brokers.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { Client } from './clients.ts';
import { LAYERS } from './fleet.ts';

const HISTORY = '[{rooms: "kept.>", size: 10, age: 1m}]';

interface Fault {
  readonly name: string;
  begin(broker: Broker): Promise<void>;
  end(broker: Broker): Promise<void>;
  /** What is counted while the broker is away, and what besides when it is back. */
  readonly away: readonly LayerFault[];
  readonly back: readonly LayerFault[];
}

const FAULTS: readonly Fault[] = [
  {
    name: 'is killed and comes back empty',
    begin: (broker) => broker.kill(),
    end: (broker) => broker.start({ empty: true }),
    away: ['connection_lost', 'unreachable'],
    back: ['data_lost'],
  },
  { name: 'is stopped for a while', begin: async (broker) => broker.pause(), end: async (broker) => broker.resume(), away: ['unresponsive'], back: [] },
];

/** Each kind as the page has it. */
async function counted(gateway: GatewayProcess): Promise<Record<LayerFault, number>> {
  const page = await (await fetch(gateway.ops('/metrics'))).text();
  const samples = [...page.matchAll(/^busgate_layer_faults_total\{kind="(\w+)"\} (\d+)$/gm)];
  return Object.fromEntries(samples.map(([, kind, count]) => [kind, Number(count)])) as Record<LayerFault, number>;
}

function once(kinds: readonly LayerFault[]): Record<LayerFault, number> {
  return Object.fromEntries(LAYER_FAULTS.map((kind) => [kind, kinds.includes(kind) ? 1 : 0])) as Record<LayerFault, number>;
}

describe.each(LAYERS)('the metrics of a gateway on $name', (layer) => {
  test.each(FAULTS)('whose broker $name: away, the kind of fault, back, and a gap for each room', async (fault) => {
    const { away, back } = fault;
    if (layer.start === undefined) throw new Error('memory has no broker');
    await using broker = await layer.start();
    await using gateway = await startGateway({ args: ['--demo', '--layer', broker.url, '--history', HISTORY] });
    await using client = await Client.open(gateway.ws('/room/1'));
    await using _other = await Client.open(gateway.ws('/room/2'));
    expect(await counted(gateway)).toEqual(once([]));
    expect(await gateway.metric('busgate_layer_up')).toBe(1);

    await fault.begin(broker);
    await expect.poll(() => counted(gateway)).toEqual(once(away));
    expect(await gateway.metric('busgate_layer_up')).toBe(0);
    for (const kind of away) await gateway.lines.find((line) => line.includes('a fault of the broker') && line.includes(kind), `a line of ${kind}`);

    await fault.end(broker);
    await expect.poll(() => gateway.metric('busgate_layer_up')).toBe(1);
    await expect.poll(() => gateway.metric('busgate_layer_gaps_total')).toBe(2);
    expect(await counted(gateway)).toEqual(once([...away, ...back]));
    client.send('after');
    await client.until((received) => received.at(-1) === 'after');
  });
});
