import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { GatewayProcess } from './processes.ts';

const KIB = 1024;

/** Flags of Node with which a process can be looked into. */
export const INSPECTED = '--inspect=127.0.0.1:0';

/** What a process refers to. */
export interface Census {
  /** Of the heap. Every buffer outside of it has an object there, and may be one of a pool that others keep, too. */
  readonly heap: number;
  /** Objects and functions of any kind, however small: what the compiler makes is none. */
  readonly objects: number;
  /** Of all emitters and event targets that there are. */
  readonly listeners: number;
  /** Those that are yet to come, whether or not they keep the process. */
  readonly timers: number;
}

/** The same, and what of the objects costs more than it seems. */
export interface Holdings extends Census {
  /** Of the heap, and of buffers outside of it. */
  readonly bytes: number;
  /** Closures among them. */
  readonly functions: number;
  readonly buffers: number;
}

type Referred<Name extends string> = Readonly<Record<Name, { readonly objectId: string }>>;

/**
 * Runs in the process that is looked into, which has nothing of this file, on the array of all its objects; at any moment, in the middle of Node's own code too. So it must not
 * begin a timer: one that is begun while others are being moved mixes up the lists of all, and some never fire.
 */
function count(this: readonly object[]): Pick<Holdings, 'objects' | 'listeners' | 'timers'> {
  const { EventEmitter } = process.getBuiltinModule('node:events');
  const heard = Object.getOwnPropertySymbols(new EventTarget()).find(({ description }) => description === 'kEvents') as symbol;
  let [listeners, timers] = [0, 0];
  for (const object of this) {
    // A prototype of emitters has no events, and does not bear to be asked.
    if (object instanceof EventEmitter && Object.hasOwn(object, '_events')) {
      for (const name of object.eventNames()) listeners += object.listenerCount(name);
    } else if (object instanceof EventTarget) {
      const roots = (object as unknown as Record<symbol, ReadonlyMap<string, { readonly size: number }> | undefined>)[heard];
      for (const { size } of roots?.values() ?? []) listeners += size;
    } else if (Object.hasOwn(object, '_idleTimeout') && (object as { readonly _destroyed?: boolean })._destroyed === false) timers += 1;
  }
  return { objects: this.length, listeners, timers };
}

/** The same, of other kinds. */
function countOthers(this: readonly object[]): Pick<Holdings, 'functions' | 'buffers'> {
  const functions = this.filter((object) => typeof object === 'function').length;
  return { functions, buffers: this.filter((object) => ArrayBuffer.isView(object) || object instanceof ArrayBuffer).length };
}

/** How many there are of each kind: of objects by their class and the first of their members, of functions by how they begin. */
function countKinds(this: readonly object[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const object of this) {
    let kind = 'a prototype';
    try {
      kind = typeof object === 'function' ? String(object).slice(0, 80) : `${object.constructor.name} {${Object.keys(object).slice(0, 6).join()}}`;
    } catch {
      // Not all of them bear to be asked.
    }
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

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

  /** What is alive after a collection. */
  async census(): Promise<Holdings> {
    const bytes = await this.held();
    const heap = await this.#evaluate('process.memoryUsage().heapUsed');
    return await this.#onAll(async (alive) => ({ bytes, heap, ...(await this.#on(alive, count)), ...(await this.#on(alive, countOthers)) }));
  }

  /** How many are alive after a collection, by kind: for whoever has to find out what it is that grows. */
  async kinds(): Promise<Readonly<Record<string, number>>> {
    await this.held();
    return await this.#onAll((alive) => this.#on(alive, countKinds));
  }

  /** `ask` is given the array of all objects. */
  async #onAll<T>(ask: (alive: string) => Promise<T>): Promise<T> {
    const { result: prototype } = (await this.#call('Runtime.evaluate', { expression: 'Object.prototype' })) as Referred<'result'>;
    const { objects: alive } = (await this.#call('Runtime.queryObjects', { prototypeObjectId: prototype.objectId })) as Referred<'objects'>;
    const answer = await ask(alive.objectId);
    for (const { objectId } of [prototype, alive]) await this.#call('Runtime.releaseObject', { objectId });
    return answer;
  }

  /** What a function says that runs there on this object. */
  async #on<T>(objectId: string, asked: (this: readonly object[]) => T): Promise<T> {
    const asking = { objectId, functionDeclaration: String(asked), returnByValue: true };
    const { result, exceptionDetails } = (await this.#call('Runtime.callFunctionOn', asking)) as { result: { value: T }; exceptionDetails?: object };
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  }

  /** Runs it there, as a script. */
  async run(script: string): Promise<void> {
    await this.#evaluate(script);
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
    const { result, exceptionDetails } = (await this.#call('Runtime.evaluate', { expression })) as { result: { value: number }; exceptionDetails?: object };
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
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
