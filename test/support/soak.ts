import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What a process holds beside its heap, by name. */
type Counts = Readonly<Record<string, number>>;

interface Soak {
  /** Times before the first look, in which caches fill and code is compiled. */
  readonly warmUp: number;
  /** Times between two looks, of which there are some more. */
  readonly times: number;
  /** Further counts, such as listeners of something that lives long. */
  readonly counts?: () => Counts;
}

interface Growth {
  /** Bytes of the heap, and of buffers outside of it, that a time leaves behind: the median between two looks, since code is compiled, and let go, now and then. */
  readonly bytesEach: number;
  /** Timers, sockets, servers and further counts of which there are more, or fewer, than before, by how many. */
  readonly counts: Counts;
}

interface Look {
  readonly bytes: number;
  readonly counts: Counts;
}

const LOOKS = 5;

/** Does `work` again and again, and tells what stays of it: nothing may, whatever it is. Each time must have ended everything that it began. */
export async function soak(work: (time: number) => Promise<void>, { warmUp, times, counts = () => ({}) }: Soak): Promise<Growth> {
  for (let time = 0; time < warmUp; time += 1) await work(time);
  const looks = [await look(counts)];
  for (let round = 0; round < LOOKS; round += 1) {
    for (let time = 0; time < times; time += 1) await work(warmUp + round * times + time);
    looks.push(await look(counts));
  }
  const names = new Set(looks.flatMap((each) => Object.keys(each.counts)));
  const changed = [...names].map((name) => [name, growthOf(name, looks)] as const).filter(([, by]) => by !== 0);
  return { bytesEach: medianGrowth(looks.map(({ bytes }) => bytes)) / times, counts: Object.fromEntries(changed) };
}

/** From the first look to the last. The runner of the tests has timers too, which begin and end when they like: of timers the median between two looks counts. */
function growthOf(name: string, looks: readonly Look[]): number {
  const counted = looks.map(({ counts }) => counts[name] ?? 0);
  return name === 'Timeout' ? LOOKS * medianGrowth(counted) : (counted.at(-1) ?? 0) - (counted[0] ?? 0);
}

/** Between one value and the next. */
function medianGrowth(values: readonly number[]): number {
  const growths = values.slice(1).map((value, index) => value - (values[index] ?? 0));
  return growths.toSorted((a, b) => a - b)[Math.floor(growths.length / 2)] ?? 0;
}

async function look(counts: () => Counts): Promise<Look> {
  await collect();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  const listeners = process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
  return { bytes: heapUsed + external + arrayBuffers, counts: { ...resources(), listeners, ...counts() } };
}

/** Timers, sockets and the like that keep this process, by kind. */
function resources(): Counts {
  const kinds: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) {
    // Those of one turn come and go.
    if (kind !== 'Immediate' && kind !== 'CloseReq') kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

/** What is garbage is gone, that of buffers too, which takes a turn of the loop. */
async function collect(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (let round = 0; round < 3; round += 1) {
    gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
