import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from '../../support/child.ts';
import { freePort } from '../../support/ports.ts';
import { GatewayProcess } from '../../support/processes.ts';
import { startPinned } from '../rig/pinned.ts';
import { Quota } from './quota.ts';

const GATEWAY = join(import.meta.dirname, '../../../packages/gateway/src/cli.ts');

const ASK_AGAIN_MS = 50;

/** A supervisor whose workers have a share of a core each. */
export class Workers implements AsyncDisposable {
  readonly port: number;
  readonly supervisor: Child;
  readonly #pids: readonly number[];
  readonly #quotas: Quota[] = [];

  private constructor(port: number, supervisor: Child, pids: readonly number[]) {
    this.port = port;
    this.supervisor = supervisor;
    this.#pids = pids;
  }

  /** Resolves when all of them take clients. */
  static async start(core: number, layer: string, count: number, share: number): Promise<Workers> {
    const [port, opsPort] = [await freePort(), await freePort()];
    const serve = ['serve', '--demo', '--workers', count, '--layer', layer, '--port', port, '--ops-port', opsPort];
    const supervisor = startPinned(core, process.execPath, ['--conditions=@busgate/source', GATEWAY, ...serve]);
    const gateway = new GatewayProcess(supervisor, port, opsPort);
    await gateway.answers('/readyz');
    // One alone has no gauge: it is up when the gateway is ready.
    for (let worker = 1; count > 1 && worker <= count; worker += 1) {
      while ((await gateway.metric(`busgate_worker_up{worker="${worker}"}`)) !== 1) await delay(ASK_AGAIN_MS);
    }
    const pids = workersOf(supervisor.pid);
    if (pids.length !== count) throw new Error(`${pids.length} processes of ${count} workers`);
    const workers = new Workers(port, supervisor, pids);
    for (const pid of pids) await workers.#bound(pid, share);
    return workers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.supervisor.signal('SIGKILL');
    await this.supervisor.exited;
    for (const pid of this.#pids) await ended(pid);
    for (const quota of this.#quotas) await quota[Symbol.asyncDispose]();
  }

  async #bound(pid: number, share: number): Promise<void> {
    const quota = await Quota.open(`${pid}`, share);
    this.#quotas.push(quota);
    await quota.hold(pid);
  }
}

/** The processes that serve: the supervisor's children, or where it is one process, itself. */
function workersOf(supervisor: number): readonly number[] {
  const children = readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return children.length > 0 ? children : [supervisor];
}

/** Ends a worker, which would drain once its supervisor has gone. */
async function ended(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      return;
    }
    await delay(ASK_AGAIN_MS);
  }
}
