import { join } from 'node:path';
import { runBusgate } from '../processes.ts';
import type { Subject } from './subject.ts';

/** `busgate work`, with the scripted application in this form. */
export function typescriptWorker(form: 'function' | 'class'): Subject {
  return {
    name: `busgate work, a ${form}`,
    takesLeave: form === 'class',
    start: async (layer, queue) => {
      const worker = runBusgate(['work', join(import.meta.dirname, 'script', `${form}.ts`), '--layer', layer, '--queue', queue]);
      await worker.lines.find((line) => line.includes('working'));
      return worker;
    },
  };
}
