/** `worker.ts <busgate|bare> <url> <scenario> <its numbers>`: one process of a measurement. It says `ready`, waits for a line, works, and prints one line of JSON. */
import { createInterface } from 'node:readline';
import { bare } from './bare.ts';
import { busgate } from './busgate.ts';

/** What a process did: how much of it, in how many seconds, with how much CPU. */
export interface Work {
  readonly count: number;
  readonly seconds: number;
  readonly cpuMicros: number;
}

/** An implementation under measurement; each call is one process. */
export interface Subject {
  /** Sends and receives that many messages through one queue, 64 on their way at any time. */
  queue(url: string, readers: number, total: number, begin: Begin): Promise<number>;
  /** Has that many members of a group, and receives so many messages with each. */
  members(url: string, members: number, messages: number, begin: Begin): Promise<number>;
  /** Sends that many messages to the group, one after the other. */
  groupSend(url: string, messages: number, begin: Begin): Promise<number>;
  /** Subscribes that many rooms and lets go of them. */
  rooms(url: string, rooms: number, begin: Begin): Promise<number>;
}

/** Called when everything is prepared: from its resolution on it is measured. */
type Begin = () => Promise<void>;

const subjects: Readonly<Record<string, Subject>> = { busgate, bare };
const [name = '', url = '', scenario = '', ...numbers] = process.argv.slice(2);
const [first = 0, second = 0] = numbers.map(Number);
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let since = 0;
let usage = process.cpuUsage();

const begin: Begin = async () => {
  console.log('ready');
  await input.next();
  since = performance.now();
  usage = process.cpuUsage();
};

const subject = subjects[name];
if (subject === undefined) throw new Error(`there are ${Object.keys(subjects).join(', ')}`);
const work: Readonly<Record<string, () => Promise<number>>> = {
  queue: () => subject.queue(url, first, second, begin),
  members: () => subject.members(url, first, second, begin),
  groupSend: () => subject.groupSend(url, first, begin),
  rooms: () => subject.rooms(url, first, begin),
};
const count = (await work[scenario]?.()) ?? 0;
const seconds = (performance.now() - since) / 1000;
const { user, system } = process.cpuUsage(usage);
console.log(JSON.stringify({ count, seconds, cpuMicros: user + system } satisfies Work));
process.exit(0);
