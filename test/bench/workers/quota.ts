import { existsSync } from 'node:fs';
import { mkdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Control groups of the first version, with the controller of the CPU: what gives a process a share of a core, whatever else the machine does. */
const GROUPS = '/sys/fs/cgroup/cpu';
/** Short beside what is measured, so that a process that has had its share stands still for milliseconds. */
const PERIOD_MICROS = 10_000;
/** The most there is: before whatever else the machine does, so that a process has its share when it wants it. */
const WEIGHT = 262_144;

/** Throws where there are no such groups, or this user may not make any. */
export async function requireQuotas(): Promise<void> {
  if (!existsSync(join(GROUPS, 'cpu.cfs_quota_us')))
    throw new Error(`each worker gets a share of a core by a control group (cgroup v1), and there is no ${GROUPS}/cpu.cfs_quota_us`);
  await (await Quota.open('try', 1))[Symbol.asyncDispose]();
}

/** A group whose processes have so much of a core together, or as much as there is; gone after its disposal, when they have ended. */
export class Quota implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(name: string, share = Infinity): Promise<Quota> {
    const quota = new Quota(join(GROUPS, `busgate-bench-${process.pid}-${name}`));
    await mkdir(quota.#folder).catch((error: unknown) => {
      throw new Error('each worker gets a share of a core by a control group: only root may make one', { cause: error });
    });
    await quota.#set('cpu.shares', WEIGHT);
    if (share < Infinity) {
      await quota.#set('cpu.cfs_period_us', PERIOD_MICROS);
      await quota.#set('cpu.cfs_quota_us', Math.round(PERIOD_MICROS * share));
    }
    return quota;
  }

  /** Takes in a process with all its threads. */
  async hold(pid: number): Promise<void> {
    await this.#set('cgroup.procs', pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rmdir(this.#folder);
  }

  async #set(file: string, value: number): Promise<void> {
    await writeFile(join(this.#folder, file), String(value));
  }
}
