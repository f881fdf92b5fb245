import { join } from 'node:path';
import { Child } from '../child.ts';
import type { Subject } from './subject.ts';

const SCRIPT = join(import.meta.dirname, 'script');

/** `busgate-asgi`; `command` is where it is. */
export function pythonWorker(command: string): Subject {
  return {
    name: 'busgate-asgi',
    takesLeave: true,
    start: async (layer, queue) => {
      const worker = new Child(command, ['script:application', '--app-dir', SCRIPT, '--layer', layer, '--queue', queue]);
      await worker.lines.find((line) => line.includes('Reading queue'));
      return worker;
    },
  };
}
