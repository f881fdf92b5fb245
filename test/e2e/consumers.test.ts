import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startRedis } from '../support/brokers.ts';
import { runBusgate, startGateway } from '../support/processes.ts';
import { Client } from './clients.ts';

const MODULES = join(import.meta.dirname, 'modules');

/** Flags for one consumer route of this module, relative to the working directory or absolute. */
const routes = (module: string): string[] => ['--routes', `[{path: '/app/*', kind: consumer, module: '${module}'}]`];

/** A folder from which modules find @busgate/consumer, that is gone after the test. */
async function folder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(MODULES, 'made-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

const echoing = (prefix: string): string => `import { consumer } from '@busgate/consumer';
export default consumer(async (socket) => {
  for await (const message of socket) await socket.send('${prefix} ' + message);
});
`;

describe('a module of a consumer route', () => {
  test('that throws at import stops the start with the file and the line', async () => {
    await using child = runBusgate(['serve', '--port', '0', '--ops-port', '0', ...routes(join(MODULES, 'throwing.ts'))]);
    expect(await child.exited).toEqual({ code: 2, signal: null });
    expect(child.lines.all.join('\n')).toMatch(/throwing\.ts cannot be loaded: no luck \(\/.*throwing\.ts:2/);
  });

  test('stops the start of several workers too; it is relative to the file of settings, and read anew with them', async () => {
    await using redis = await startRedis();
    await using made = await folder();
    const [settings, module] = [join(made.path, 'busgate.yaml'), join(made.path, 'module.ts')];
    await writeFile(settings, `layer: ${redis.url}\nworkers: 2\ndrain: {notice: 0s}\nroutes: [{path: '/app/*', kind: consumer, module: ./module.ts}]\n`);
    await writeFile(module, '\nnull.x;\n');
    {
      await using child = runBusgate(['serve', '--config', settings, '--port', '0', '--ops-port', '0']);
      expect(await child.exited).toEqual({ code: 2, signal: null });
      expect(child.lines.all.join('\n')).toMatch(/module\.ts cannot be loaded: .*module\.ts:2/);
    }
    await writeFile(module, echoing('old'));
    await using gateway = await startGateway({ args: ['--config', settings] });
    const clients = await Promise.all(Array.from({ length: 8 }, () => Client.open(gateway.ws('/app/a'))));
    for (const client of clients) client.send('x');
    await Promise.all(clients.map((client) => client.until((received) => received.length === 1)));
    expect(clients.map(({ received }) => received[0])).toEqual(clients.map(() => 'old x'));
    // One that cannot be loaded changes nothing.
    await writeFile(module, 'export default 5;\n');
    gateway.signal('SIGHUP');
    await gateway.lines.find((line) => line.includes('a fresh worker cannot serve'));
    await writeFile(module, echoing('new'));
    gateway.signal('SIGHUP');
    expect((await Promise.all(clients.map(({ closed }) => closed))).map(({ code }) => code)).toEqual(clients.map(() => 1012));
    await gateway.lines.find((line) => line.includes('all workers are replaced'));
    await using fresh = await Client.open(gateway.ws('/app/a'));
    fresh.send('x');
    await fresh.until((received) => received.length === 1);
    expect(fresh.received).toEqual(['new x']);
  });
});

describe('what handlers leave behind', () => {
  test('ends their own session alone: a rejection that nobody waited for, an error in a timer, what is sent to who has gone', async () => {
    await using gateway = await startGateway({ args: routes(join(MODULES, 'stray.ts')) });
    await using other = await Client.open(gateway.ws('/app/echo'));
    for (const name of ['rejection', 'timer']) {
      await using client = await Client.open(gateway.ws(`/app/${name}`));
      client.send('go');
      expect((await client.closed).code).toBe(1011);
    }
    await gateway.lines.find((line) => line.includes('a consumer failed') && line.includes('from a timer') && line.includes('/app/*'));
    const careless = await Client.open(gateway.ws('/app/careless'));
    await careless.until((received) => received.length > 2);
    await careless[Symbol.asyncDispose]();
    while ((await gateway.metric('busgate_event_disconnects_total{route="/app/*"}')) < 3);
    other.send('still here');
    await other.until((received) => received.length === 1);
    expect(await gateway.metric('busgate_consumer_failures_total{route="/app/*"}')).toBe(2);
    gateway.signal('SIGINT');
    expect(await gateway.exited).toEqual({ code: 0, signal: null });
  });

  test('does not end a worker either', async () => {
    await using redis = await startRedis();
    await using gateway = await startGateway({ args: ['--layer', redis.url, '--routes', "[{path: '/app/*', kind: events, queue: app}]"] });
    await using worker = runBusgate(['work', join(MODULES, 'stray.ts'), '--queue', 'app', '--layer', redis.url]);
    await using other = await Client.open(gateway.ws('/app/echo'));
    await using client = await Client.open(gateway.ws('/app/rejection'));
    client.send('go');
    expect((await client.closed).code).toBe(1011);
    other.send('still here');
    await other.until((received) => received.length === 1);
    expect(worker.alive).toBe(true);
  });
});
