import { once } from 'node:events';
import { expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';
import { FaultProxy } from '../../../test/support/fault-proxy.ts';
import { Link } from '../src/link.ts';
import { parseUrl } from '../src/url.ts';

const ignore = (): void => undefined;
const SILENT = { debug: ignore, info: ignore, warn: ignore, error: ignore };
const CUTS = 5;
/** Milliseconds: half of the shortest wait, and what a timer may come too early. */
const SHORTEST_MS = 24;

test('a connection that was lost is not made anew at once, so that a fleet does not come back in one moment', async () => {
  await using nats = await startNats();
  await using proxy = await FaultProxy.start(nats.port);
  const happened = new EventTarget();
  const waits: number[] = [];
  let left = performance.now();
  const link = new Link(parseUrl(`nats://127.0.0.1:${proxy.port}`), 'test', SILENT, {
    fault: ignore,
    prepare: async () => undefined,
    away: () => (left = performance.now()),
    arrived: () => {
      waits.push(performance.now() - left);
      happened.dispatchEvent(new Event('arrived'));
    },
  });
  const first = once(happened, 'arrived');
  await link.open();
  await first;
  for (let cuts = 0; cuts < CUTS; cuts += 1) {
    const arrived = once(happened, 'arrived');
    proxy.cut();
    await arrived;
  }
  await link.close();
  const [, ...again] = waits;
  expect(again.length).toBe(CUTS);
  expect(Math.min(...again)).toBeGreaterThanOrEqual(SHORTEST_MS);
});
