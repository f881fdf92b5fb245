import { describe, expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway } from './support/gateway.ts';
import { TestWorker } from './support/worker.ts';

const ROUTES = `[
  {path: /one, kind: events, queue: one, http: true, handler_timeout: 200ms},
  {path: /two, kind: events, queue: two, accept_timeout: 200ms},
  {path: /room/:room, kind: room, join: anyone, publish: anyone}]`;

function start(): Promise<TestGateway> {
  return TestGateway.start(['--layer', 'redis://unused', '--routes', ROUTES]);
}

/** The samples of a metric, by their labels as they stand on the page. */
async function read({ gateway }: TestGateway, name: string): Promise<Record<string, number>> {
  const page = await gateway.metrics.scrape();
  const samples = page.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'));
  return Object.fromEntries([...samples].map(([, labels = '', value]) => [labels.replaceAll('"', ''), Number(value)]));
}

/** Resolves once this sample has this value. */
async function becomes(gateway: TestGateway, name: string, labels: string, value: number): Promise<void> {
  const end = performance.now() + 30_000;
  for (let now; (now = (await read(gateway, name))[labels]) !== value; await new Promise((resolve) => setTimeout(resolve, 1))) {
    if (performance.now() > end) throw new Error(`${name} is ${now}, and not ${value}`);
  }
}

/** Of one route: what was due, and where it is. */
async function accountOf(gateway: TestGateway, route: string): Promise<Record<string, number>> {
  const totals = ['due', 'queued', 'failed', 'handled'].map(
    async (what) => [what, (await read(gateway, `busgate_events_${what}_total`))[`route=${route}`] ?? -1] as const,
  );
  const undone = Object.entries(await read(gateway, 'busgate_events_undone_total')).filter(([labels]) => labels.startsWith(`route=${route},`));
  const inFlight = (await read(gateway, 'busgate_events_in_flight'))[`route=${route}`] ?? -1;
  return { ...Object.fromEntries(await Promise.all(totals)), undone: undone.reduce((sum, [, count]) => sum + count, 0), inFlight };
}

describe('the metrics of events', () => {
  test('balance by route, whatever became of the events', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'one');
    const connecting = Client.open(gateway.ws('/one'));
    await worker.accept();
    {
      await using client = await connecting;
      for (let n = 0; n < 10; n += 1) client.send(String(n));
      for (let n = 0; n < 9; n += 1) {
        const event = await worker.next();
        await worker.reply(event, { type: 'done', order: event.order });
      }
      // The last one is answered by nobody, and so is a request; nobody at all reads the queue of the other route.
      const asking = fetch(gateway.http('/one'));
      await expect(Client.open(gateway.ws('/two'))).rejects.toThrow('503');
      expect([await client.closed(), (await asking).status]).toEqual([1011, 504]);
    }
    for (const route of ['/one', '/two']) await becomes(gateway, 'busgate_events_in_flight', `route=${route}`, 0);
    expect(await accountOf(gateway, '/one')).toEqual({ due: 12, queued: 12, failed: 0, handled: 10, undone: 2, inFlight: 0 });
    expect(await accountOf(gateway, '/two')).toEqual({ due: 1, queued: 1, failed: 0, handled: 0, undone: 1, inFlight: 0 });
    expect(await read(gateway, 'busgate_events_undone_total')).toMatchObject({ 'route=/one,reason=timeout': 2, 'route=/two,reason=timeout': 1 });
    expect(await read(gateway, 'busgate_event_timeouts_total')).toEqual({
      'route=/one,kind=accept': 0,
      'route=/one,kind=handler': 2,
      'route=/one,kind=resume': 0,
      'route=/two,kind=accept': 1,
      'route=/two,kind=handler': 0,
      'route=/two,kind=resume': 0,
    });
    expect(await read(gateway, 'busgate_event_handling_seconds_count')).toEqual({ 'route=/one': 10, 'route=/two': 0 });
  });

  test('count what workers hold while they hold it, and whose workers these are', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'one');
    await using own = new TestWorker(gateway.layer, 'one.w.a');
    const connecting = Client.open(gateway.ws('/one'));
    await worker.accept({ queue: 'one.w.a', window: 4 });
    await using client = await connecting;
    for (let n = 0; n < 4; n += 1) client.send(String(n));
    const asking = fetch(gateway.http('/one'));
    const [first] = [await own.next(), await own.next(), await own.next(), await own.next()];
    const request = await worker.next();
    // Four messages and a request.
    await becomes(gateway, 'busgate_events_in_flight', 'route=/one', 5);
    expect(await read(gateway, 'busgate_event_workers')).toEqual({ '': 1 });
    await worker.reply(request, { type: 'http.response', text: 'x' });
    expect((await asking).status).toBe(200);
    for (let order = 1; order < 5; order += 1) await worker.reply(first, { type: 'done', order });
    await becomes(gateway, 'busgate_events_in_flight', 'route=/one', 0);
    client.socket.close();
    await own.next();
    await becomes(gateway, 'busgate_event_workers', '', 0);
    expect(await accountOf(gateway, '/one')).toMatchObject({ queued: 6, handled: 6, undone: 0 });
  });
});
