import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { FaultProxy } from '../../support/fault-proxy.ts';
import { closeFrame, frame, RawClient, upgrade } from '../../../packages/gateway/test/support/raw.ts';
import { startRedis } from '../../support/brokers.ts';
import { requireBinary } from '../../support/binaries.ts';
import { Child } from '../../support/child.ts';
import { metricsOf, sumOf } from '../../support/metrics.ts';
import { runBusgate, startGateway } from '../../support/processes.ts';
import { Client } from '../../e2e/clients.ts';
import { openRaw, Stage } from '../../attacks/stage.ts';

const run = promisify(execFile);
/** A ping each half second, and half a second for its answer. */
const QUICK = ['--heartbeat-interval', '500ms', '--heartbeat-timeout', '500ms'];
/** Far longer than both. */
const HELD_UP_MS = 4000;

/** From then on an answer of each is due. */
const pinged = (clients: readonly Client[]): Promise<unknown> => Promise.all(clients.map(({ socket }) => once(socket, 'ping')));
const closed = async (stage: Stage, code: string): Promise<number> => sumOf(await metricsOf(stage.gateway), `busgate_closes_total{code="${code}"}`);

test('attack 111: a loop that is blocked for seconds takes nobody for dead who has answered meanwhile', async () => {
  await using stage = await Stage.start(QUICK);
  await stage.survives(async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, () => Client.open(stage.gateway.ws('/room/held'))));
    await pinged(clients);
    const before = await closed(stage, '1006');
    await stage.inspector.block(HELD_UP_MS);
    clients[0]?.send('after');
    await Promise.all(clients.map((client) => client.until((received) => received.includes('after'))));
    expect(await closed(stage, '1006')).toBe(before);
    for (const client of clients) client.socket.close(1000);
    await Promise.all(clients.map((client) => client.closed));
  });
});

test('attack 112: a process that was stopped for seconds goes on with those who are there, and lets go of those who left', async () => {
  await using broker = await startRedis();
  await using stage = await Stage.start([...QUICK, '--layer', broker.url]);
  await stage.survives(async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, () => Client.open(stage.gateway.ws('/room/held'))));
    const leaving = await Promise.all(Array.from({ length: 20 }, () => Client.open(stage.gateway.ws('/room/left'))));
    await pinged([...clients, ...leaving]);
    stage.gateway.signal('SIGSTOP');
    for (const { socket } of leaving) socket.terminate();
    await sleep(HELD_UP_MS);
    stage.gateway.signal('SIGCONT');
    await expect.poll(async () => sumOf(await metricsOf(stage.gateway), 'busgate_sessions')).toBe(clients.length);
    await expect.poll(async () => sumOf(await metricsOf(stage.gateway), 'busgate_layer_up')).toBe(1);
    clients[0]?.send('after');
    await Promise.all(clients.map((client) => client.until((received) => received.at(-1) === 'after')));
    for (const client of clients) client.socket.close(1000);
    await Promise.all(clients.map((client) => client.closed));
  });
});

test('attack 114: a client whose packets get through no more is found out, and its place is free', async () => {
  await using stage = await Stage.start(QUICK);
  await stage.withstands(async () => {
    await using proxy = await FaultProxy.start(stage.gateway.port);
    const client = await RawClient.connect(proxy.port);
    client.write(upgrade('/room/half', { Host: 'localhost' }));
    expect((await client.answer()).status).toBe(101);
    const before = await closed(stage, '1006');
    proxy.freeze();
    await using witness = await Client.open(stage.gateway.ws('/room/half'));
    for (let sent = 0; sent < 20; sent += 1) witness.send(String(sent));
    await witness.until((received) => received.length === 20);
    await expect.poll(() => closed(stage, '1006')).toBe(before + 1);
    proxy.cut();
    await client[Symbol.asyncDispose]();
  });
});

test('attack 115: clients whose connections are reset are counted, and no line of the log is about them', async () => {
  await using stage = await Stage.start();
  const lines = stage.gateway.lines.all.length;
  await stage.withstands(async () => {
    for (let round = 0; round < 100; round += 1) {
      const client = await openRaw(stage.gateway.port, '/room/reset');
      client.write(frame(1, 'x'));
      client.socket.resetAndDestroy();
    }
  });
  expect(await closed(stage, '1006')).toBeGreaterThanOrEqual(200);
  expect(stage.gateway.lines.all.slice(lines).filter((line) => !line.startsWith('Debugger'))).toEqual([]);
});

test('attack 116: hundreds who come back at once are all served, and the broker is asked once a room', async () => {
  await using broker = await startRedis();
  await using stage = await Stage.start(['--layer', broker.url]);
  await using monitor = new Child(await requireBinary('redis-cli', '', 'redis-tools'), ['-p', String(broker.port), 'MONITOR']);
  await monitor.lines.find((line) => line === 'OK', 'the confirmation');
  const subscribed = (): string[] =>
    monitor.lines.all
      .filter((line) => /"subscribe"/i.test(line))
      .flatMap((line) => [...line.matchAll(/"busgate:room:(storm\.[^"]+)"/g)].map(([, room = '']) => room));
  let round = 0;
  await stage.withstands(async () => {
    round += 1;
    const began = performance.now();
    const clients = await Promise.all(Array.from({ length: 500 }, (_, index) => openRaw(stage.gateway.port, `/room/storm.${round}.${index % 10}`)));
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(sumOf(await metricsOf(stage.gateway), 'busgate_rooms')).toBeGreaterThanOrEqual(10);
    await expect.poll(() => new Set(subscribed()).size).toBe(10 * round);
    for (const client of clients) client.write(closeFrame(1000));
    await Promise.all(clients.map((client) => client.closed()));
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  });
  expect(subscribed().length).toBe(10 * round);
});

test('attack 118: without descriptors it takes no more, goes on with those it has, and takes others once some are free', async () => {
  await using stage = await Stage.start(['--limits-sessions', '5000']);
  await using client = await Client.open(stage.gateway.ws('/room/early'));
  await run('prlimit', ['--pid', String(stage.gateway.pid), '--nofile=64:64']);
  const sockets = Array.from({ length: 100 }, () => connect({ port: stage.gateway.port, host: '127.0.0.1' }).on('error', () => undefined));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  for (let sent = 0; sent < 20; sent += 1) client.send(String(sent));
  await client.until((received) => received.length === 20);
  for (const socket of sockets) socket.destroy();
  await expect.poll(async () => (await fetch(stage.gateway.http('/room/1'), { method: 'POST', body: 'x' }).catch(() => undefined))?.status).toBe(202);
  await using late = await Client.open(stage.gateway.ws('/room/late'));
  late.send('hello');
  await late.until((received) => received.includes('hello'));
});

test('attack 108: told to stop while its broker is stopped, a client does not read, one answers nothing and a request hangs, it exits within its deadline', async () => {
  await using broker = await startRedis();
  await using gateway = await startGateway({ args: ['--demo', '--layer', broker.url, '--drain-notice', '100ms', '--drain-deadline', '3s'] });
  await using deaf = await openRaw(gateway.port, '/room/r');
  deaf.socket.pause();
  await using mute = await openRaw(gateway.port, '/socket');
  await using half = await RawClient.connect(gateway.port);
  half.write('POST /room/r HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx');
  broker.pause();
  await using hanging = await RawClient.connect(gateway.port);
  hanging.write('POST /room/r HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx');
  mute.write(frame(1, '{"type":"publish","room":"r","text":"x"}'));
  const began = performance.now();
  gateway.signal('SIGTERM');
  expect(await gateway.exited).toEqual({ code: 0, signal: null });
  expect(performance.now() - began).toBeLessThan(4500);
});

test('attack 122: a handler that throws ends its own client with 1011, and no other', async () => {
  await using broker = await startRedis();
  await using worker = runBusgate(['work', join(import.meta.dirname, '../../e2e/modules/faulty.ts'), '--queue', 'q', '--layer', broker.url]);
  await worker.lines.find((line) => line.includes('working'));
  await using stage = await Stage.start(['--layer', broker.url, '--routes', '[{path: /app, kind: events, queue: q}, {path: "/room/:room", kind: room}]']);
  await stage.withstands(async () => {
    await using other = await Client.open(stage.gateway.ws('/app'));
    await using client = await Client.open(stage.gateway.ws('/app'));
    client.send('throw');
    expect((await client.closed).code).toBe(1011);
    other.send('still here');
    await other.until((received) => received.includes('still here'));
  });
});
