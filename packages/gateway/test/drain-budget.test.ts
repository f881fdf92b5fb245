import { randomUUID } from 'node:crypto';
import { type ChannelLayer, type LayerStatus, openLayer } from '@busgate/layer';
import { afterEach, expect, test } from 'vitest';
import { FleetBudget } from '../src/drain/budget.ts';
import { until } from './support/gateway.ts';

interface Gateway {
  readonly budget: FleetBudget;
  readonly layer: ChannelLayer;
  /** Stands in for the layer's own, where a test says so. */
  status: LayerStatus | undefined;
  now: number;
}

/** Gateways on one bus, each with a clock of its own. */
const opened: Gateway[] = [];
let bus = randomUUID();
afterEach(async () => {
  for (const { budget } of opened) budget.end();
  await Promise.all(opened.splice(0).map(({ layer }) => layer.close()));
  bus = randomUUID();
});

async function join(rate: number): Promise<Gateway> {
  const layer = await openLayer(`memory:${bus}`);
  const gateway: Gateway = {
    layer,
    status: undefined,
    now: 0,
    budget: new FleetBudget({
      rate,
      now: () => gateway.now,
      layer: {
        process: layer.process,
        publish: (...args) => layer.publish(...args),
        subscribe: (...args) => layer.subscribe(...args),
        get status() {
          return gateway.status ?? layer.status;
        },
      },
    }),
  };
  opened.push(gateway);
  return gateway;
}

const shares = (): number[] => opened.map(({ budget }) => budget.share());

test('gateways that drain at the same time have the same part each; who ends gives it back at once', async () => {
  const [a, b, c] = await Promise.all([join(90), join(90), join(90)]);
  a.budget.begin();
  expect(a.budget.share()).toBe(90);
  b.budget.begin();
  await until(() => a.budget.share() === 45 && b.budget.share() === 45, 'both know of each other');
  c.budget.begin();
  await until(() => shares().every((share) => share === 30), 'all know of each other');
  b.budget.end();
  await until(() => a.budget.share() === 45 && c.budget.share() === 45, 'the others have its part');
});

test('one that is not heard for 15 s gives its share back, one that still drains does not', async () => {
  const [a, b] = await Promise.all([join(80), join(80)]);
  a.budget.begin();
  b.budget.begin();
  await until(() => shares().every((share) => share === 40), 'both know of each other');
  a.now = 14_999;
  expect(a.budget.share()).toBe(40);
  // It drains still, and says so again.
  b.now = 5000;
  b.budget.share();
  await b.layer.flush();
  a.now = 16_000;
  await until(() => a.budget.share() === 40, 'it has been heard');
  a.now = 32_000;
  expect(a.budget.share()).toBe(80);
});

test('while the broker is away each keeps its last share', async () => {
  const [a, b] = await Promise.all([join(80), join(80)]);
  a.budget.begin();
  b.budget.begin();
  await until(() => shares().every((share) => share === 40), 'both know of each other');
  a.status = { state: 'away', since: new Date() };
  a.now = 60_000;
  expect(a.budget.share()).toBe(40);
});

test('one that began while the broker was away takes part when it is back', async () => {
  const [a, b] = await Promise.all([join(80), join(80)]);
  b.status = { state: 'away', since: new Date() };
  a.budget.begin();
  b.budget.begin();
  expect(shares()).toEqual([80, 80]);
  b.status = undefined;
  await until(() => shares().every((share) => share === 40), 'both know of each other');
});
