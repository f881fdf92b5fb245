import type { Child } from '../../support/child.ts';
import { cpuNanos } from './cpu.ts';
import type { Work } from './work.ts';

/**
 * Lets processes work at the same time, once each of them is ready. What the first ones did counts, all but `others` at the end; the CPU is that of all.
 * However long it takes: a slow subject is a result. `broker`: the pid of a process whose CPU is told apart, from the first line to the last end.
 */
export async function together(children: readonly Child[], others: number, broker?: number): Promise<Work> {
  try {
    for (const child of children) await child.output.find((line) => line === 'ready', 'a process that is ready');
    const begun = broker === undefined ? 0 : cpuNanos(broker);
    for (const child of children) child.write('\n');
    const works: Work[] = [];
    for (const child of children) {
      await child.exited;
      works.push(JSON.parse(await child.output.find((line) => line.startsWith('{'), 'its figures')) as Work);
    }
    const measured = works.slice(0, works.length - others);
    return {
      count: measured.reduce((sum, { count }) => sum + count, 0),
      seconds: Math.max(...measured.map(({ seconds }) => seconds)),
      cpuMicros: works.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0),
      ...(broker === undefined ? {} : { brokerMicros: (cpuNanos(broker) - begun) / 1000 }),
    };
  } finally {
    for (const child of children) await child[Symbol.asyncDispose]();
  }
}
