import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Broker, startRedis } from '../support/brokers.ts';
import { Child } from '../support/child.ts';
import { freePort } from '../support/ports.ts';
import { type GatewayProcess, runBusgate, startGateway } from '../support/processes.ts';
import { Client } from './clients.ts';

const CLI = 'packages/gateway/src/cli.ts';

let gateway: GatewayProcess;
beforeAll(async () => {
  gateway = await startGateway({ args: ['--demo'] });
});
afterAll(() => gateway[Symbol.asyncDispose]());

const url = (): string => `--url=${gateway.http('')}`;

describe('busgate publish', () => {
  test('a line leaves as soon as it is read, byte for byte, and the last one also without a line end', async () => {
    await using client = await Client.open(gateway.ws('/room/lines'));
    await using child = runBusgate(['publish', 'lines', '-', url()], { stdin: 'pipe' });
    child.write('one\r\n\n');
    await client.until((received) => received.length === 2);
    child.write(Buffer.from([0xff, 0x0a]));
    child.write('last');
    await client.until((received) => received.length === 3);
    child.endInput();
    expect(await child.exited).toEqual({ code: 0, signal: null });
    await client.until((received) => received.length === 4);
    expect(client.received).toEqual(['one', '', Buffer.from([0xff]), 'last']);
  });

  test('thousands of lines arrive in their order', async () => {
    const lines = Array.from({ length: 5000 }, (_, index) => `line ${index}`);
    await using client = await Client.open(gateway.ws('/room/many'));
    await using child = runBusgate(['publish', 'many', url()], { stdin: 'pipe' });
    child.write(`${lines.join('\n')}\n`);
    child.endInput();
    expect((await child.exited).code).toBe(0);
    await client.until((received) => received.length === lines.length);
    expect(client.received).toEqual(lines);
  });

  test('a text is one message, whatever is in it', async () => {
    await using client = await Client.open(gateway.ws('/room/text'));
    await using child = runBusgate(['publish', 'text', 'two\nlines ✓', url()]);
    expect((await child.exited).code).toBe(0);
    await client.until((received) => received.length === 1);
    expect(client.received).toEqual(['two\nlines ✓']);
  });

  test('what is not accepted gives 1, and each reason once', async () => {
    await using closed = await startGateway({ args: ['--routes', '[{path: "/room/:room", kind: room, join: anyone, publish: nobody}]'] });
    await using child = runBusgate(['publish', 'a', '-', '--url', closed.http('')], { stdin: 'pipe' });
    for (const line of ['1\n', '2\n']) {
      child.write(line);
      await child.lines.until((all) => all.length > 0);
    }
    child.endInput();
    expect((await child.exited).code).toBe(1);
    expect(child.lines.all).toEqual([expect.stringContaining('403, not_allowed')]);
  });

  test('a wrong room name, flag or URL is refused before anything is connected', async () => {
    let connections = 0;
    const server = createServer(() => (connections += 1));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const target = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const args of [
      ['publish', 'a b', 'x'],
      ['publish', 'a..b', '-'],
      ['subscribe', '*'],
      ['publish', 'a', 'x', '--ulr', 'x'],
      ['publish', 'a', 'x', 'y'],
      ['subscribe'],
    ]) {
      await using child = runBusgate([...args, '--url', target]);
      expect([args, await child.exited]).toEqual([args, { code: args[0] === 'publish' ? 1 : 2, signal: null }]);
    }
    expect(connections).toBe(0);
    server.close();
  });

  test('SIGTERM ends it', async () => {
    await using client = await Client.open(gateway.ws('/room/stop'));
    await using child = runBusgate(['publish', 'stop', '-', url()], { stdin: 'pipe' });
    child.write('here\n');
    await client.until((received) => received.length === 1);
    child.signal('SIGTERM');
    expect(await child.exited).toEqual({ code: 143, signal: null });
  });
});

describe('busgate subscribe', () => {
  test('shows each payload and a line feed; SIGINT ends it with 0', async () => {
    await using child = runBusgate(['subscribe', 'shown', url()]);
    const shown = await publishUntilShown(child, gateway, 'shown');
    await post(gateway, 'shown', 'after');
    await child.output.until((all) => all.at(-1) === 'after');
    expect(new Set(child.output.all)).toEqual(new Set([shown, 'after']));
    child.signal('SIGINT');
    expect(await child.exited).toEqual({ code: 0, signal: null });
  });

  test('connects again when its gateway goes away, and says so', async () => {
    const port = String(await freePort());
    const args = ['--demo', '--port', port, '--drain-notice', '0s'];
    const first = await startGateway({ args });
    await using child = runBusgate(['subscribe', 'again', '--url', `http://localhost:${port}`]);
    await publishUntilShown(child, { http: (path) => `http://localhost:${port}${path}` }, 'again');
    first.signal('SIGTERM');
    await child.lines.find((line) => line.includes('closed with 1012') && line.includes('connecting again'));
    await first.exited;
    await using second = await startGateway({ args });
    const before = child.output.all.length;
    await publishUntilShown(child, { http: (path) => `http://localhost:${port}${path}` }, 'again', before);
    expect(second.pid).not.toBe(first.pid);
    child.signal('SIGTERM');
    expect((await child.exited).code).toBe(0);
  });

  test('a reader that has enough ends it quietly', async () => {
    const script = '"$0" --conditions=@busgate/source packages/gateway/src/cli.ts subscribe enough "$1" | head -1; echo "${PIPESTATUS[0]}"';
    await using child = new Child('bash', ['-c', script, process.execPath, url()]);
    const shown = await publishUntilShown(child, gateway, 'enough');
    await postUntil(gateway, 'enough', child.exited);
    expect(child.lines.all).toEqual([shown, '0']);
  });

  test('waits for a gateway that is not there yet, and says so', async () => {
    const port = String(await freePort());
    await using child = runBusgate(['subscribe', 'later', '--url', `http://localhost:${port}`]);
    await child.lines.find((line) => line.includes('ECONNREFUSED') && line.includes('connecting again'));
    await using late = await startGateway({ args: ['--demo', '--port', port] });
    const shown = await publishUntilShown(child, { http: (path) => `http://localhost:${port}${path}` }, 'later');
    expect(child.output.all).toContain(shown);
    expect(late.pid).not.toBe(child.pid);
    child.signal('SIGINT');
    expect((await child.exited).code).toBe(0);
  });

  test('where it is not let in, or nothing speaks WebSocket, it gives up with the reason', async () => {
    await using mute = createServer((socket) => socket.once('data', () => socket.end('no HTTP\r\n\r\n')));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    await using nothing = runBusgate(['subscribe', 'r', '--url', `http://127.0.0.1:${(mute.address() as AddressInfo).port}`]);
    expect((await nothing.exited).code).toBe(1);
    expect(nothing.lines.all.join()).toContain('Parse Error');
    await using closed = await startGateway({ args: ['--routes', '[{path: "/room/:room", kind: room, join: nobody, publish: anyone}]'] });
    await using refused = runBusgate(['subscribe', 'r', '--url', closed.http('')]);
    expect((await refused.exited).code).toBe(1);
    expect(refused.lines.all.join()).toContain('403');
  });
});

describe('with --layer', () => {
  let redis: Broker;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis[Symbol.asyncDispose]());

  test('both go straight onto the broker', async () => {
    await using served = await startGateway({ args: ['--demo', '--layer', redis.url, '--prefix', 'other'] });
    await using client = await Client.open(served.ws('/room/direct'));
    await using shown = runBusgate(['subscribe', 'direct', '--layer', redis.url, '--prefix', 'other']);
    await publishUntilShown(shown, served, 'direct');
    await using child = runBusgate(['publish', 'direct', 'by the broker', '--layer', redis.url, '--prefix', 'other']);
    expect(await child.exited).toEqual({ code: 0, signal: null });
    await shown.output.until((all) => all.at(-1) === 'by the broker');
    await client.until((received) => received.at(-1) === 'by the broker');
    shown.signal('SIGTERM');
    expect(await shown.exited).toEqual({ code: 0, signal: null });
  });

  test('a broker that is away is a reason', async () => {
    await using child = runBusgate(['publish', 'r', 'x', '--layer', `redis://127.0.0.1:${await freePort()}`]);
    expect((await child.exited).code).toBe(1);
    expect(child.lines.all.join()).toContain('LAYER_AWAY');
  });
});

describe('busgate serve', () => {
  test('the start line has the address, the layer, and what memory: means', async () => {
    const line = await gateway.lines.find((each) => each.includes('ready for clients'));
    expect(JSON.parse(line)).toMatchObject({
      level: 'info',
      url: `http://localhost:${gateway.port}/`,
      ops: `http://localhost:${gateway.opsPort}/`,
      layer: 'memory:',
      note: expect.stringContaining('a bus of its own'),
    });
  });

  test('every fault is told, and nothing starts', async () => {
    await using child = runBusgate(['serve', '--limits-mesage', '1', '--port', 'x', '--layer', 'redis/u:secret@h']);
    expect(await child.exited).toEqual({ code: 2, signal: null });
    expect(child.lines.all).toHaveLength(4);
    expect(child.lines.all.join()).not.toContain('secret');
  });

  test('a taken port is a fault with its number', async () => {
    await using child = runBusgate(['--demo', '--port', String(gateway.port), '--ops-port', '0']);
    expect((await child.exited).code).toBe(1);
    expect(child.lines.all.join()).toContain(`port ${gateway.port} is taken`);
  });

  test('an error that nobody expected drains it, and ends with 1 (attack 122)', async () => {
    const [port, opsPort] = [await freePort(), await freePort()];
    const fault = 'data:text/javascript,process.on("SIGUSR2",()=>{throw new Error("unforeseen")})';
    const args = ['--import', fault, '--conditions=@busgate/source', CLI, '--demo', '--port', `${port}`, '--ops-port', `${opsPort}`, '--drain-notice', '0s'];
    await using child = new Child(process.execPath, args);
    await child.lines.find((line) => line.includes('ready for clients'));
    await using client = await Client.open(`ws://localhost:${port}/room/1`);
    child.signal('SIGUSR2');
    expect((await client.closed).code).toBe(1012);
    expect(await child.exited).toEqual({ code: 1, signal: null });
    expect(child.lines.all.join()).toContain('"error":"unforeseen"');
  });

  test('the signal that follows such an error is the first one: what was begun is drained', async () => {
    const [port, opsPort] = [await freePort(), await freePort()];
    const fault = 'data:text/javascript,process.on("SIGUSR2",()=>{throw new Error("unforeseen")})';
    const args = ['--import', fault, '--conditions=@busgate/source', CLI, '--demo', '--port', `${port}`, '--ops-port', `${opsPort}`, '--drain-notice', '1s'];
    await using child = new Child(process.execPath, args);
    await child.lines.find((line) => line.includes('ready for clients'));
    await using client = await Client.open(`ws://localhost:${port}/room/1`);
    child.signal('SIGUSR2');
    await child.lines.find((line) => line.includes('unforeseen'));
    child.signal('SIGTERM');
    expect((await client.closed).code).toBe(1012);
    expect(await child.exited).toEqual({ code: 1, signal: null });
    expect(child.lines.all.join()).toContain('"drained"');
  });

  test('it is called ready once its layer has been reached, as /readyz says, and not before', async () => {
    const [port, opsPort] = [await freePort(), await freePort()];
    await using redis = await startRedis();
    await redis.stop();
    const args = ['--demo', '--layer', redis.url, '--port', `${port}`, '--ops-port', `${opsPort}`];
    await using child = runBusgate(args);
    await child.lines.find((line) => line.includes('not ready before the layer is reached'));
    expect((await fetch(`http://127.0.0.1:${opsPort}/readyz`)).status).toBe(503);
    expect(child.lines.all.join()).not.toContain('ready for clients');
    await redis.start();
    await child.lines.find((line) => line.includes('ready for clients'));
    expect((await fetch(`http://127.0.0.1:${opsPort}/readyz`)).status).toBe(200);
  });

  test('it lives on when nobody reads its log any more (attack 121)', async () => {
    const [port, opsPort] = [await freePort(), await freePort()];
    const gateway = `"$0" --conditions=@busgate/source ${CLI} --demo --port ${port} --ops-port ${opsPort}`;
    await using child = new Child('bash', ['-c', `exec ${gateway} > >(exec sed '/ready for clients/q') 2>&1`, process.execPath]);
    await child.output.find((line) => line.includes('ready for clients'));
    await using client = await Client.open(`ws://localhost:${port}/room/1`);
    const refused = { method: 'POST', body: 'x', headers: { Origin: 'https://evil.test' } };
    for (let index = 0; index < 5; index += 1) expect((await fetch(`http://localhost:${port}/room/1`, refused)).status).toBe(403);
    client.send('still here');
    await client.until((received) => received[0] === 'still here');
    expect(client.received).toEqual(['still here']);
    const page = await (await fetch(`http://localhost:${opsPort}/metrics`)).text();
    expect(Number(/^busgate_log_lines_dropped_total (\d+)$/m.exec(page)?.[1])).toBeGreaterThan(0);
  });
});

async function post(target: Pick<GatewayProcess, 'http'>, room: string, body: string): Promise<void> {
  const response = await fetch(target.http(`/room/${room}`), { method: 'POST', body });
  expect(response.status).toBe(202);
  await response.body?.cancel();
}

/** A subscriber does not say when it has joined: publishes until it shows something. */
async function publishUntilShown(child: Child, target: Pick<GatewayProcess, 'http'>, room: string, already = 0): Promise<string> {
  const shown = child.output.until((all) => all.length > already);
  await postUntil(target, room, shown);
  return child.output.all[already] as string;
}

async function postUntil(target: Pick<GatewayProcess, 'http'>, room: string, event: Promise<unknown>): Promise<void> {
  let happened = false;
  const done = event.finally(() => (happened = true));
  while (!happened) await Promise.all([post(target, room, 'probe'), new Promise((resolve) => setImmediate(resolve))]);
  await done;
}
