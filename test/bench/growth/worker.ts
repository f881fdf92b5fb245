/**
 * `worker.ts <orders as JSON>`: the clients of one case, and what is published to their rooms. Says how far it is, and `ready`; then for each line that it reads it
 * prints one of JSON, with what messages for a second cost the gateways.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { cpuNanos } from '../rig/cpu.ts';
import { MARK, Reader } from '../rig/reader.ts';
import type { Case } from './cases.ts';

export interface Orders extends Case {
  /** Of each gateway. */
  readonly ports: readonly number[];
  readonly pids: readonly number[];
  readonly redisPort: number;
}

/** What a case cost all gateways together. */
export interface Cost {
  readonly deliveries: number;
  /** Microseconds of CPU for each of them, with what the gateways cost that do nothing. */
  readonly cpu: number;
  /** The part of it that they would have cost without any message. */
  readonly idle: number;
}

/** Connections that are being opened at any time, and joins that are not answered. */
const AT_ONCE = 100;
const JOINS_AT_ONCE = 1000;
const SETTLE_MS = 1000;
const IDLE_MS = 2000;
const WARM_MS = 2000;
/** Messages that are not measured: the gateways' code has not run for a while. */
const AGAIN_MS = 100;
const MEASURED_MS = 1000;
/** A delivery each 0.1 ms where a message has many, and a message each ms: far from what a gateway can do. */
const DELIVERY_MS = 0.1;
const LEAST_MS = 1;
/** The payload that is published: JSON, with the mark by which it is counted. */
const PAYLOAD = JSON.stringify(`${MARK}${'x'.repeat(125)}`);

const { ports, pids, redisPort, sockets, rooms, members, atOnce } = JSON.parse(process.argv[2] ?? '{}') as Orders;
const redis = connect(redisPort, '127.0.0.1');
redis.setNoDelay(true);
redis.resume();
/** Marks that have come, and the number that is waited for. */
let heard = 0;
let due = 0;
let arrived = (): void => undefined;
let nextRoom = 0;

function hear(count: number): void {
  heard += count;
  if (heard > due) throw new Error(`${heard} messages came, and ${due} were due`);
  if (heard === due) arrived();
}

/** Does something that `count` marks come of, and waits for them. */
async function expecting(count: number, act: () => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  arrived = resolve;
  due += count;
  act();
  await promise;
}

async function open(): Promise<readonly Reader[]> {
  const readers: Reader[] = [];
  let begun = 0;
  const oneAfterTheOther = async (): Promise<void> => {
    while (begun < sockets) {
      const index = begun++;
      const port = ports[index % ports.length] ?? 0;
      readers[index] = await Reader.open(port, { title: 'growth', request: upgrade(port) }, hear);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, oneAfterTheOther));
  return readers;
}

function upgrade(port: number): string {
  const key = randomBytes(16).toString('base64');
  return `GET /socket HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`;
}

/** Each answer has the mark in its `ref`. */
async function join(readers: readonly Reader[]): Promise<void> {
  const total = rooms * members;
  for (let from = 0; from < total; from += JOINS_AT_ONCE) {
    const to = Math.min(total, from + JOINS_AT_ONCE);
    await expecting(to - from, () => {
      for (let seat = from; seat < to; seat += 1)
        readers[seat % sockets]?.send(JSON.stringify({ type: 'join', room: roomOf(Math.floor(seat / members)), ref: MARK }));
    });
    console.log(`${to} of ${total} joined`);
  }
}

function roomOf(index: number): string {
  return `room.${index}`;
}

/** Publishes once to each of the next rooms, and waits until every member has it. */
async function round(): Promise<void> {
  let commands = '';
  for (let message = 0; message < atOnce; message += 1) {
    const topic = `busgate:room:${roomOf(nextRoom)}`;
    commands += `*3\r\n$7\r\nPUBLISH\r\n$${topic.length}\r\n${topic}\r\n$${PAYLOAD.length}\r\n${PAYLOAD}\r\n`;
    nextRoom = (nextRoom + 1) % rooms;
  }
  await expecting(atOnce * members, () => redis.write(commands));
}

function spent(): number {
  return pids.reduce((sum, pid) => sum + cpuNanos(pid), 0) / 1000;
}

/** CPU for a millisecond of a gateway that has been left alone. */
async function idle(): Promise<number> {
  await delay(SETTLE_MS);
  const [since, before] = [performance.now(), spent()];
  await delay(IDLE_MS);
  return (spent() - before) / (performance.now() - since);
}

/** So many times a second or so, and never before the last message has arrived. */
async function traffic(ms: number): Promise<void> {
  const every = Math.max(LEAST_MS, atOnce * members * DELIVERY_MS);
  for (let left = Math.round(ms / every); left > 0; left -= 1) {
    const next = performance.now() + every;
    await round();
    await delay(Math.max(0, next - performance.now()));
  }
}

async function measure(idleCost: number): Promise<Cost> {
  await traffic(AGAIN_MS);
  const [since, before, heardBefore] = [performance.now(), spent(), heard];
  await traffic(MEASURED_MS);
  const deliveries = heard - heardBefore;
  return { deliveries, cpu: (spent() - before) / deliveries, idle: (idleCost * (performance.now() - since)) / deliveries };
}

await once(redis, 'connect');
await join(await open());
for (const end = performance.now() + WARM_MS; performance.now() < end;) await round();
const idleCost = await idle();
console.log('ready');
for await (const _ of createInterface({ input: process.stdin })) console.log(JSON.stringify(await measure(idleCost)));
