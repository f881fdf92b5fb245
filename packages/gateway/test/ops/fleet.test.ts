import { randomUUID } from 'node:crypto';
import { type ChannelLayer, openLayer } from '@busgate/layer';
import { afterEach, describe, expect, test } from 'vitest';
import type { Answering, FleetCall } from '../../src/fleet/calls.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { Roster } from '../../src/fleet/roster.ts';
import { until } from '../support/gateway.ts';

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** Gateways of one fleet, each with a layer of its own on one bus. */
const opened: { readonly layer: ChannelLayer; readonly fleet: Fleet }[] = [];
let bus = randomUUID();
afterEach(async () => {
  await Promise.all(opened.splice(0).map(({ fleet, layer }) => fleet.close().then(() => layer.close())));
  bus = randomUUID();
});

async function join(answer: (call: FleetCall, asked: object) => unknown): Promise<{ layer: ChannelLayer; fleet: Fleet }> {
  const layer = await openLayer(`memory:${bus}`);
  const answering = (async (call: FleetCall, asked: object) => await answer(call, asked)) as Answering;
  const fleet = new Fleet({ layer, answer: answering, log: SILENT, now: () => performance.now() });
  fleet.look();
  opened.push({ layer, fleet });
  return { layer, fleet };
}

async function three(): Promise<{ layer: ChannelLayer; fleet: Fleet }[]> {
  const gateways = await Promise.all([1, 2, 3].map((n) => join((call, asked) => ({ n, call, asked }))));
  await until(() => gateways.every(({ fleet }) => fleet.gateways.length === 3), 'all know each other');
  return gateways;
}

describe('a fleet', () => {
  test('knows its gateways, whoever came first, and is answered by each', async () => {
    const gateways = await three();
    for (const { fleet } of gateways) {
      const { answers, missing } = await fleet.askAll('count', { user: 'ada' });
      expect(missing).toEqual([]);
      expect([...answers.keys()]).toEqual(gateways.map(({ layer }) => layer.process).toSorted());
      expect([...answers.values()].map((answer) => (answer as unknown as { n: number }).n).toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
      expect([...answers.values()][0]).toMatchObject({ call: 'count', asked: { user: 'ada' } });
    }
  });

  test('asks some, each something of its own; one that nobody knows is missing at once', async () => {
    const [a, b] = await three();
    const begun = performance.now();
    const asked = new Map([a, b].map((gateway) => [gateway?.layer.process ?? '', { session: gateway?.layer.process ?? '' }]));
    const { answers, missing } = await a!.fleet.ask('session', new Map([...asked, ['nobody', { session: 'x' }]]));
    for (const [gateway, answer] of answers) expect(answer).toMatchObject({ asked: { session: gateway } });
    expect([answers.size, missing]).toEqual([2, ['nobody']]);
    expect(performance.now() - begun).toBeLessThan(1000);
  });

  test('names who does not answer within a second, and has the answers of all others', async () => {
    const { fleet, layer } = await join(() => 'here');
    const mute = await join(() => new Promise(() => undefined));
    const failing = await join(() => Promise.reject(new Error('no')));
    await until(() => fleet.gateways.length === 3, 'all are known');
    const { answers, missing } = await fleet.askAll('gateway', {});
    expect([[...answers.keys()], missing]).toEqual([[layer.process], [mute.layer.process, failing.layer.process].toSorted()]);
  });

  test('forgets who said goodbye, and does not wait for it', async () => {
    const [a, b, c] = await three();
    await b!.fleet.close();
    await until(() => a!.fleet.gateways.length === 2 && c!.fleet.gateways.length === 2, 'the others have heard it');
    expect((await a!.fleet.askAll('gateway', {})).missing).toEqual([]);
  });

  test('answers a call that it does not know with nothing, and what is no note of a gateway is not heard', async () => {
    const [a, b] = await three();
    for (const text of ['', 'no json', '[]', '{}', '{"type":"ask","from":"x"}', '{"type":"hello"}', '{"type":"answer","from":"x","id":"1"}'])
      for (const room of ['_gateways', `_gateway.${a!.layer.process}`]) await b!.layer.publish(room, text);
    await b!.layer.publish(`_gateway.${a!.layer.process}`, JSON.stringify({ type: 'answer', from: b!.layer.process, id: 99 }));
    expect((await a!.fleet.askAll('gateway', {})).missing).toEqual([]);
  });
});

test('a gateway that died without a word is in the roster until its heartbeats are missed, and for 15 s where none was heard yet', () => {
  const heard = new Set(['a']);
  const roster = new Roster((gateway) => heard.has(gateway));
  roster.heard('a', 0);
  roster.heard('b', 10_000);
  expect(roster.all(20_000)).toEqual(['a', 'b']);
  expect(roster.all(25_001)).toEqual(['a']);
  heard.delete('a');
  expect(roster.all(25_002)).toEqual([]);
});
