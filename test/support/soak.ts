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

const LOOKS = 5;

/** Does `work` again and again, and tells what stays of it: nothing may, whatever it is. Each time must have ended everything that it began. */
export async function soak(work: (time: number) => Promise<void>, { warmUp, times, counts = () => ({}) }: Soak): Promise<Growth> {
  for (let time = 0; time < warmUp; time += 1) await work(time);
  const before = await look(counts);
  let last = before;
  const growths: number[] = [];
  for (let round = 0; round < LOOKS; round += 1) {
    for (let time = 0; time < times; time += 1) await work(warmUp + round * times + time);
    const now = await look(counts);
    growths.push((now.bytes - last.bytes) / times);
    last = now;
  }
  const names = new Set([...Object.keys(before.counts), ...Object.keys(last.counts)]);
  const changed = [...names].map((name) => [name, (last.counts[name] ?? 0) - (before.counts[name] ?? 0)] as const).filter(([, by]) => by !== 0);
  return { bytesEach: growths.toSorted((a, b) => a - b)[Math.floor(LOOKS / 2)] ?? 0, counts: Object.fromEntries(changed) };
}

async function look(counts: () => Counts): Promise<{ bytes: number; counts: Counts }> {
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
