import type { Driver } from '../../src/driver/driver.ts';
import type { LayerLogger } from '../../src/contract.ts';

async function unexpected(): Promise<never> {
  throw new Error('this call was not expected');
}

/** A driver of which the test scripts the calls it expects; every other call fails. */
export function scripted(calls: Partial<Driver>): Driver {
  return {
    capabilities: { roomOrder: 'total', history: true, queues: true, groups: true, processes: true },
    topicName: (topic) => `${topic.kind}:${topic.name}`,
    open: unexpected,
    publish: unexpected,
    subscribe: unexpected,
    unsubscribe: unexpected,
    push: unexpected,
    pop: unexpected,
    addMember: unexpected,
    removeMember: unexpected,
    publishGroup: unexpected,
    append: unexpected,
    read: unexpected,
    purge: unexpected,
    flush: unexpected,
    close: unexpected,
    ...calls,
  };
}

/** A logger that remembers what it was told. */
export class LogLines implements LayerLogger {
  readonly lines: string[] = [];

  info(message: string): void {
    this.lines.push(`info ${message}`);
  }

  warn(message: string): void {
    this.lines.push(`warn ${message}`);
  }

  error(message: string): void {
    this.lines.push(`error ${message}`);
  }
}

/** Lets everything that is only waiting for a microtask go on. */
export async function settled(): Promise<void> {
  await new Promise(setImmediate);
}
