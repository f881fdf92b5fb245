import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { GatewayProcess } from './processes.ts';

const KIB = 1024;

/** Flags of Node with which a process can be looked into. */
export const INSPECTED = '--inspect=127.0.0.1:0';

/** What a process holds, as told after its garbage was collected: by its inspector, which needs {@link INSPECTED}. */
export class Inspector implements AsyncDisposable {
  readonly #pid: number;
  readonly #socket: WebSocket;
  #calls = 0;

  private constructor(pid: number, socket: WebSocket) {
    this.#pid = pid;
    this.#socket = socket;
  }

  static async of({ lines, pid }: GatewayProcess): Promise<Inspector> {
    const line = await lines.find((candidate) => candidate.startsWith('Debugger listening on '), 'the address of the inspector');
    const socket = new WebSocket(line.slice(line.indexOf('ws://')), { perMessageDeflate: false });
    await once(socket, 'open');
    return new Inspector(pid, socket);
  }

  /** Bytes that are resident, and in use. */
  async resident(): Promise<number> {
    for (let round = 0; round < 2; round += 1) await this.#call('HeapProfiler.collectGarbage');
    return this.#status('VmRSS');
  }

  /** Bytes of the heap and of buffers outside of it, that something still refers to. */
  async held(): Promise<number> {
    for (let round = 0; round < 2; round += 1) await this.#call('HeapProfiler.collectGarbage');
    return this.#evaluate('{ const { heapUsed, external } = process.memoryUsage(); heapUsed + external; }');
  }

  /** Bytes that were resident at most. */
  peak(): number {
    return this.#status('VmHWM');
  }

  /** Milliseconds of the processor that the process takes for `work`. */
  async processorMs(work: () => Promise<void>): Promise<number> {
    const before = await this.#processor();
    await work();
    return (await this.#processor()) - before;
  }

  /** Resolves when the process has done nothing for so long but run in a circle. */
  async block(ms: number): Promise<void> {
    await this.#evaluate(`for (const until = performance.now() + ${ms}; performance.now() < until;);`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.terminate();
    await once(this.#socket, 'close');
  }

  #status(name: string): number {
    const [, kib] = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8')) ?? [];
    return Number(kib) * KIB;
  }

  async #processor(): Promise<number> {
    return (await this.#evaluate('process.cpuUsage().user + process.cpuUsage().system')) / 1000;
  }

  async #evaluate(expression: string): Promise<number> {
    const { result } = (await this.#call('Runtime.evaluate', { expression })) as { result: { value: number } };
    return result.value;
  }

  async #call(method: string, params: object = {}): Promise<unknown> {
    this.#calls += 1;
    const id = this.#calls;
    this.#socket.send(JSON.stringify({ id, method, params }));
    for (;;) {
      const [data] = (await once(this.#socket, 'message')) as [Buffer];
      const answer = JSON.parse(data.toString()) as { id?: number; result?: unknown };
      if (answer.id === id) return answer.result;
    }
  }
}
