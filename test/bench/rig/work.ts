import { createInterface } from 'node:readline';

/** What a process did: how much of it, in how many seconds, with how much CPU. */
export interface Work {
  readonly count: number;
  readonly seconds: number;
  readonly cpuMicros: number;
  /** What it cost the broker, where that is measured. */
  readonly brokerMicros?: number;
}

/** Called when everything is prepared: from its resolution on it is measured. */
export type Begin = () => Promise<void>;

/** The whole of a measured process: it says `ready`, waits for a line, works, prints one line of JSON, and ends. `body` resolves with how much it did. */
export async function work(body: (begin: Begin) => Promise<number>): Promise<never> {
  const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  let since = 0;
  let usage = process.cpuUsage();
  const count = await body(async () => {
    console.log('ready');
    await input.next();
    since = performance.now();
    usage = process.cpuUsage();
  });
  const seconds = (performance.now() - since) / 1000;
  const { user, system } = process.cpuUsage(usage);
  console.log(JSON.stringify({ count, seconds, cpuMicros: user + system } satisfies Work));
  process.exit(0);
}
