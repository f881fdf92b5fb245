/**
 * `load.ts <port> <echo|all|idle|held> <sockets> <seconds> <wire>`: sockets that each say their next message when the last one has come back (`echo`), or of which one
 * speaks and says the next when all of them have heard the last one (`all`); or that say nothing for as long as this runs (`idle`, or `held` on the path of `echo`; prints `begin` alone). Prints `begin` and `end` around the measured seconds, then one line of JSON.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from './client.ts';
import { Latencies } from './latencies.ts';
import { wires } from './wires.ts';

/** What was measured: messages that clients were given in so many seconds, and the milliseconds from each one's saying to its hearing. */
export interface Heard {
  readonly count: number;
  readonly seconds: number;
  readonly p50: number;
  readonly p99: number;
}

const WARM_UP_MS = 2000;
/** Connections that are being opened at any time. */
const AT_ONCE = 50;

const [port = 0, sockets = 1, seconds = 4] = [process.argv[2], process.argv[4], process.argv[5]].map(Number);
const isSilent = ['idle', 'held'].includes(process.argv[3] ?? '');
const path = process.argv[3] === 'held' ? '/echo' : `/${process.argv[3]}`;
const wire = wires[process.argv[6] as keyof typeof wires];
const clients: Client[] = [];
const latencies = new Latencies();
let count = 0;

/** Each message holds its number, so that one that is lost, doubled or somebody else's ends the measurement. */
function echoing(index: number): (text: string) => void {
  let number = 0;
  let saidAt = performance.now();
  const next = (): void => {
    number += 1;
    saidAt = performance.now();
    clients[index]?.say(`${index}:${number}:`);
  };
  starts.push(next);
  return (text) => {
    if (!text.startsWith(`${index}:${number}:`)) throw new Error(`socket ${index} said ${number} and heard ${text}`);
    latencies.add(performance.now() - saidAt);
    count += 1;
    next();
  };
}

/** A message of `all` before the first round. */
const ASKING = '0:';
/** It is said again so often, in milliseconds, until everybody has heard it: whoever joins may be heard of a moment after the 101. */
const ASKING_MS = 100;

const joined = new Set<number>();
const everybodyJoined = Promise.withResolvers<void>();
let round = 0;
let left = 0;
let saidAt = 0;

function say(): void {
  round += 1;
  left = sockets;
  saidAt = performance.now();
  clients[0]?.say(`${round}:`);
}

function hearing(index: number): (text: string) => void {
  return (text) => {
    if (text.startsWith(ASKING)) {
      joined.add(index);
      if (joined.size === sockets) everybodyJoined.resolve();
      return;
    }
    if (!text.startsWith(`${round}:`)) throw new Error(`in round ${round} was heard ${text}`);
    latencies.add(performance.now() - saidAt);
    count += 1;
    left -= 1;
    if (left === 0) say();
  };
}

const starts: (() => void)[] = [];
let opened = 0;
const openOneAfterTheOther = async (): Promise<void> => {
  while (opened < sockets) {
    const index = opened++;
    clients[index] = await Client.open(port, path, wire, path === '/all' ? hearing(index) : echoing(index));
  }
};
await Promise.all(Array.from({ length: AT_ONCE }, openOneAfterTheOther));
if (path === '/all') {
  const asking = setInterval(() => clients[0]?.say(ASKING), ASKING_MS);
  await everybodyJoined.promise;
  clearInterval(asking);
  say();
} else if (isSilent) {
  console.log('begin');
  await new Promise(() => undefined);
} else for (const start of starts) start();

await delay(WARM_UP_MS);
latencies.clear();
count = 0;
const since = performance.now();
console.log('begin');
await delay(seconds * 1000);
console.log('end');
const took = (performance.now() - since) / 1000;
console.log(JSON.stringify({ count, seconds: took, p50: latencies.at(0.5), p99: latencies.at(0.99) } satisfies Heard));
process.exit(0);
