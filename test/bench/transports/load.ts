/**
 * `load.ts <subject> <port> <redis URL> <idle|paced|saturation|polls> <clients> <seconds>`: clients of one room, and what is published to it. Prints `begin` and `end`
 * around what is measured, `settled` once an idle server has come to rest, and then one line of JSON.
 */
import { Agent, request } from 'node:http';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { openLayer } from '@busgate/layer';
import { MARK, Reader, type Talk } from '../rig/reader.ts';
import { requestOf, subjects, type Subject } from './subjects.ts';

export interface Heard {
  /** Messages that clients were given, or clients that were opened. */
  readonly count: number;
  readonly seconds: number;
}

const SIZE = 128;
const MESSAGES_PER_SECOND = 40;
/** Messages that are published and not yet with every client, on average. */
const ON_THEIR_WAY = 64;
const AT_ONCE = 100;
const REHEARSED = 100;
/** An idle process gives garbage back after some seconds without work. */
const SETTLE_MS = 8000;
const WARM_MS = 1500;

const [name = '', portText, redisUrl = '', mode, clientsText, secondsText] = process.argv.slice(2);
const subject = subjects[name] as Subject;
const [port, clients, seconds] = [Number(portText), Number(clientsText), Number(secondsText)];
const layer = await openLayer(redisUrl, { history: [{ rooms: 'kept', size: 100, ageMs: 300_000 }] });
let heard = 0;

async function open(count: number): Promise<void> {
  let opened = 0;
  const oneAfterTheOther = async (): Promise<void> => {
    while (opened < count) {
      opened += 1;
      await Reader.open(port, talkOf(subject), (messages) => (heard += messages));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, oneAfterTheOther));
}

async function idle(): Promise<Heard> {
  await open(REHEARSED);
  await delay(SETTLE_MS);
  console.log('begin');
  const since = performance.now();
  await open(clients);
  console.log('end');
  const took = (performance.now() - since) / 1000;
  await delay(SETTLE_MS);
  console.log('settled');
  return { count: clients, seconds: took };
}

function talkOf({ title, path, lines, opens, next }: Subject): Talk {
  const polled = (answer: string): string => {
    const { path: then, lines: following } = next?.(answer) ?? { path, lines: [] };
    return requestOf(then, following, port);
  };
  return { title, opens, request: requestOf(path, lines(), port), ...(next === undefined ? {} : { next: polled }) };
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
let published = 0;

function publish(): Promise<unknown> {
  published += 1;
  const text = `${published}${MARK}`.padEnd(SIZE, '.');
  if (subject.server === 'nchan') return post('/pub', text);
  if (subject.server === 'centrifugo') return post('/api/publish', JSON.stringify({ channel: 'bench', data: text }));
  return layer.publish(subject.next === undefined ? 'bench' : 'kept', text);
}

/** By HTTP on one connection, as the others are published to. */
function post(path: string, body: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length };
  request({ agent, port, method: 'POST', path, headers }, (response) => response.on('end', resolve).resume())
    .on('error', reject)
    .end(body);
  return promise;
}

async function flow(next: () => Promise<void>): Promise<Heard> {
  await open(clients);
  const stop = { isOver: false };
  const flowing = (async (): Promise<void> => {
    while (!stop.isOver) await next();
  })();
  await delay(WARM_MS);
  console.log('begin');
  const [since, before] = [performance.now(), heard];
  await delay(seconds * 1000);
  console.log('end');
  const result = { count: heard - before, seconds: (performance.now() - since) / 1000 };
  stop.isOver = true;
  await flowing;
  while (heard < published * clients) await turn();
  if (heard !== published * clients) throw new Error(`${published} messages to ${clients} clients were heard ${heard} times`);
  return result;
}

const flows: Readonly<Record<string, () => Promise<Heard>>> = {
  idle,
  paced: () =>
    flow(async () => {
      void publish();
      await delay(1000 / MESSAGES_PER_SECOND);
    }),
  saturation: () =>
    flow(async () => {
      while (published - heard / clients < ON_THEIR_WAY) void publish();
      await turn();
    }),
  // The next message comes when every poll was answered by the last one.
  polls: () =>
    flow(async () => {
      if (heard === published * clients) void publish();
      await turn();
    }),
};

// A poll is answered at once where it has no place yet: by Nchan with the oldest message.
if (subject.server === 'nchan' && subject.next !== undefined) await post('/pub', 'first');
console.log(JSON.stringify(await flows[mode ?? '']?.()));
process.exit(0);
