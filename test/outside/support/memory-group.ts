import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
const V1 = join(ROOT, 'memory');
let made = 0;

/** A cgroup whose memory has a limit, as that of a container has. Past it the kernel kills what is in it. Needs root. */
export class MemoryGroup implements Disposable {
  /** Runs a command in it. */
  readonly within: readonly string[];
  readonly #directory: string;

  /** `limit` in bytes. */
  constructor(limit: number) {
    const isFirst = existsSync(V1);
    made += 1;
    this.#directory = join(isFirst ? V1 : ROOT, `busgate-${process.pid}-${made}`);
    mkdirSync(this.#directory);
    writeFileSync(join(this.#directory, isFirst ? 'memory.limit_in_bytes' : 'memory.max'), String(limit));
    this.within = ['/bin/sh', '-c', `echo $$ > ${join(this.#directory, 'cgroup.procs')} && exec "$@"`, 'sh'];
  }

  /** Nobody is in it. */
  get isEmpty(): boolean {
    return readFileSync(join(this.#directory, 'cgroup.procs'), 'utf8') === '';
  }

  /** Once nobody is in it. */
  [Symbol.dispose](): void {
    rmdirSync(this.#directory);
  }
}
