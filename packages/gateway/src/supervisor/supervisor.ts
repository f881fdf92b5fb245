import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { Gateway } from '../gateway.ts';
import type { Readiness } from '../health.ts';
import type { Listening } from '../listen.ts';
import type { Log } from '../log.ts';
import { DRAIN_PATH, drainAnswer } from '../ops/calls/drain.ts';
import type { OpsApi, OpsCall, OpsReply } from '../ops/call.ts';
import { opsRefusal } from '../ops/errors.ts';
import { OpsServer, type OpsSource } from '../ops.ts';
import { type Door, openDoor } from './door.ts';
import type { Sharing } from './messages.ts';
import { Replacement } from './replacement.ts';
import type { ReadSettings } from './settings.ts';
import { LOOK_MS, SILENCE_MS } from './silence.ts';
import { MetricSums } from './sums.ts';
import { type Ending, LocalWorker, type Worker } from './worker.ts';
import { WorkerProcess } from './worker-process.ts';

/** A worker has so long to answer; what it has not said by then is left out. In milliseconds. */
const ANSWER_MS = 500;
/** A call of the ops API is the first worker's, unless that says nothing for so long while another one speaks. In milliseconds. */
const HEAD_START_MS = 100;
/** Whether a fresh worker has reached the layer is asked this often, in milliseconds. */
const ASK_AGAIN_MS = 100;
/** Of the deadline workers leave this share to the supervisor, at most {@link MOST_REST_MS}. */
const REST_SHARE = 0.1;
const MOST_REST_MS = 500;

/** What a supervisor begins with. */
interface SupervisorBeginning {
  readonly config: Config;
  readonly settings: ReadSettings;
  readonly log: Log;
  readonly sharing: Sharing;
  /** An operator has asked for the end. */
  readonly onDrain: () => void;
}

/** Looks after the workers of one public port: starts and replaces them, and is one gateway to the operator: one ops port, one drain, one page of metrics. */
export class Supervisor implements OpsSource {
  readonly metrics: { readonly contentType: string; readonly scrape: () => Promise<string> };
  readonly api: OpsApi = { answer: (call) => this.#answer(call) };
  /** Resolves with the reason where workers die faster than they can be replaced. */
  readonly failed: Promise<string>;
  readonly #config: Config;
  readonly #log: Log;
  readonly #sharing: Sharing;
  readonly #onDrain: () => void;
  readonly #fail: (reason: string) => void;
  readonly #sums = new MetricSums();
  readonly #replacement = new Replacement();
  /** The worker of each number; undefined while it is being replaced. */
  readonly #slots = new Map<number, Worker | undefined>();
  /** Those that were told to end. */
  readonly #leaving = new Set<Worker>();
  #settings: ReadSettings;
  #ops: OpsServer | undefined;
  #opsListening: Listening | undefined;
  #door: Door | undefined;
  #watch: NodeJS.Timeout | undefined;
  #looked = performance.now();
  #turn = 0;
  #hasBegun = false;
  #isDraining = false;
  #reloading: Promise<void> = Promise.resolve();
  #scraping: Promise<string> | undefined;

  private constructor({ config, settings, log, sharing, onDrain }: SupervisorBeginning) {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.failed = promise;
    this.#fail = resolve;
    this.#config = config;
    this.#settings = settings;
    this.#log = log;
    this.#sharing = sharing;
    this.#onDrain = onDrain;
    this.metrics = { contentType: this.#sums.contentType, scrape: () => this.#scrape() };
  }

  /**
   * Opens the ops port, finds the public one and starts `workers` processes on it; resolves when all serve.
   * Rejects with the reason of a worker that cannot, or the system's error for an address that cannot be had; nothing runs then.
   */
  static async start(beginning: SupervisorBeginning): Promise<Supervisor> {
    const supervisor = new Supervisor(beginning);
    try {
      await supervisor.#begin();
      return supervisor;
    } catch (error) {
      supervisor.kill();
      supervisor.#close();
      throw error;
    }
  }

  /** Takes over from a gateway of this process, as its first worker, with its ops port and its door. What the door hands over is for {@link hand} from then on. */
  static adopt(beginning: SupervisorBeginning, gateway: Gateway, door: Door): Supervisor {
    const supervisor = new Supervisor(beginning);
    supervisor.#ops = gateway.giveOps();
    supervisor.#ops.answerFor(supervisor);
    supervisor.#door = door;
    const worker = new LocalWorker(1, gateway);
    supervisor.#slots.set(worker.slot, worker);
    void supervisor.#follow(worker);
    supervisor.#hasBegun = true;
    supervisor.#beginToWatch();
    return supervisor;
  }

  get door(): Door {
    if (this.#door === undefined) throw new TypeError('the supervisor has not been started');
    return this.#door;
  }

  get ops(): Listening {
    if (this.#opsListening === undefined) throw new TypeError('the supervisor has not been started');
    return this.#opsListening;
  }

  /** One worker that is ready is enough. */
  readonly readiness = async (): Promise<Readiness> => {
    if (this.#isDraining) return { ready: false, reason: 'draining' };
    const answers = await Promise.all(this.#serving().map((worker) => worker.ask('readiness', ANSWER_MS)));
    return answers.find((answer) => answer?.ready) ?? answers.find((answer) => answer !== undefined) ?? { ready: false, reason: 'no_worker' };
  };

  /** Resolves once a worker has reached the layer. */
  async reached(): Promise<void> {
    while (!(await this.readiness()).ready) await sleep(ASK_AGAIN_MS, undefined, { ref: false });
  }

  /**
   * Replaces the workers one by one with fresh ones of these settings: each is drained once its successor is ready. One reload after another. Where a fresh worker cannot
   * serve, nothing is replaced any more, and the settings stay as they were.
   */
  reload(settings: ReadSettings): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reload(settings));
    return this.#reloading;
  }

  /** Gives a connection that was accepted for them to the workers in turn. */
  hand(socket: Socket): void {
    const workers = this.#serving().filter((worker) => worker.isServing);
    for (let tried = 0; tried < workers.length; tried += 1) {
      this.#turn = (this.#turn + 1) % workers.length;
      if (workers[this.#turn]?.give(socket) === true) return;
    }
    socket.destroy();
  }

  /** Ends all workers in order, and then the ops port, within `drain.deadline`. */
  async drain({ notice }: { readonly notice: boolean }): Promise<void> {
    const { deadline } = this.#config.drain;
    this.#isDraining = true;
    const workers = this.#all();
    const left = deadline - Math.min(deadline * REST_SHARE, MOST_REST_MS);
    for (const worker of workers) {
      this.#leaving.add(worker);
      worker.drain({ notice, deadline: left });
    }
    await Promise.race([Promise.all(workers.map((worker) => worker.ended)), sleep(deadline, undefined, { ref: false })]);
    this.kill();
    this.#close();
  }

  /** Ends every worker at once. */
  kill(): void {
    for (const worker of this.#all()) {
      this.#leaving.add(worker);
      worker.kill();
    }
  }

  async #begin(): Promise<void> {
    const { host, port, ops, workers } = this.#config;
    this.#ops = new OpsServer(this, ops.key);
    this.#opsListening = await this.#ops.listen(ops.host, ops.port);
    this.#door = await openDoor(host, port, this.#sharing, (socket) => this.hand(socket));
    for (let slot = 1; slot <= workers; slot += 1) this.#slots.set(slot, this.#create(slot, this.#settings));
    this.#beginToWatch();
    await Promise.all(this.#serving().map((worker) => worker.serving));
    this.#hasBegun = true;
  }

  #create(slot: number, settings: ReadSettings): WorkerProcess {
    const worker = new WorkerProcess({ slot, settings, port: this.door.listening.port, sharing: this.#sharing });
    void this.#follow(worker);
    this.#log.info('a worker starts', { worker: slot, pid: worker.pid });
    void worker.serving.then(
      () => this.#log.info('a worker serves', { worker: slot, pid: worker.pid }),
      () => undefined,
    );
    return worker;
  }

  /** What becomes of a worker. */
  async #follow(worker: Worker): Promise<void> {
    const ending = await worker.ended;
    if (ending.metrics !== undefined) this.#sums.report(worker, ending.metrics);
    this.#sums.retire(worker);
    const wasAsked = this.#leaving.delete(worker);
    if (this.#slots.get(worker.slot) === worker) this.#slots.set(worker.slot, undefined);
    if (this.#hasBegun && !wasAsked && !this.#isDraining) await this.#replace(worker, ending);
  }

  async #replace({ slot }: Worker, { how }: Ending): Promise<void> {
    const verdict = this.#replacement.died(performance.now());
    if (verdict.kind === 'give-up') {
      this.#log.error('workers die too often: the gateway stops', { worker: slot, how, deaths_in_a_minute: verdict.deaths });
      this.#fail(`${verdict.deaths} workers died within a minute, the last one with: ${how}`);
      return;
    }
    this.#log.error('a worker died and is replaced', { worker: slot, how, after_ms: verdict.afterMs });
    await sleep(verdict.afterMs, undefined, { ref: false });
    // A reload, or the end, may have come before.
    if (!this.#isDraining && this.#slots.get(slot) === undefined) this.#slots.set(slot, this.#create(slot, this.#settings));
  }

  async #reload(settings: ReadSettings): Promise<void> {
    for (const slot of this.#slots.keys()) {
      if (this.#isDraining) return;
      const fresh = this.#create(slot, settings);
      if (!(await this.#isReady(fresh))) return;
      this.#settings = settings;
      const old = this.#slots.get(slot);
      this.#slots.set(slot, fresh);
      if (old === undefined) continue;
      this.#leaving.add(old);
      old.drain({ notice: true, leave: true });
      await old.ended;
    }
    this.#log.info('all workers are replaced');
  }

  /** Whether a worker that is in no slot yet serves and has reached the layer, however long the broker is away; else it is ended. */
  async #isReady(worker: WorkerProcess): Promise<boolean> {
    this.#leaving.add(worker);
    let hasEnded = false;
    void worker.ended.then(() => (hasEnded = true));
    try {
      await worker.serving;
      while (!this.#isDraining && !hasEnded) {
        if ((await worker.ask('readiness', ANSWER_MS))?.ready === true) return this.#leaving.delete(worker);
        await sleep(ASK_AGAIN_MS);
      }
    } catch (error) {
      this.#log.error('a fresh worker cannot serve: the others stay as they are', { worker: worker.slot, error: (error as Error).message });
    }
    worker.kill();
    return false;
  }

  #scrape(): Promise<string> {
    this.#scraping ??= this.#read().finally(() => {
      this.#scraping = undefined;
    });
    return this.#scraping;
  }

  async #read(): Promise<string> {
    const answered = new Set<Worker>();
    const ask = async (worker: Worker): Promise<void> => {
      const metrics = await worker.ask('metrics', ANSWER_MS);
      if (metrics === undefined) return;
      answered.add(worker);
      this.#sums.report(worker, metrics);
    };
    await Promise.all(this.#all().map(ask));
    const up = new Map([...this.#slots].map(([slot, worker]) => [slot, worker !== undefined && answered.has(worker)]));
    return this.#sums.page(answered, up);
  }

  /** A worker speaks for all, since each reaches the whole fleet; but what is asked of this process is for the supervisor. */
  async #answer(call: OpsCall): Promise<OpsReply> {
    if (call.method === 'POST' && call.path === DRAIN_PATH) {
      this.#onDrain();
      return drainAnswer();
    }
    const worker = await this.#speaker();
    return worker === undefined ? opsRefusal('no_worker') : await worker.call(call);
  }

  /** A worker that has an ear just now, and not one that is frozen; undefined where none has said a word before it is taken for dead. */
  #speaker(): Promise<Worker | undefined> {
    const { promise, resolve } = Promise.withResolvers<Worker | undefined>();
    const asked = this.#serving().filter(({ isServing }) => isServing);
    const answers = asked.map(async (worker, place) => {
      if ((await worker.ask('readiness', SILENCE_MS)) === undefined) return;
      if (place > 0) await sleep(HEAD_START_MS, undefined, { ref: false });
      resolve(worker);
    });
    void Promise.all(answers).then(() => resolve(undefined));
    return promise;
  }

  #beginToWatch(): void {
    this.#looked = performance.now();
    // After the loop's next reading, so that a word that waits in the kernel counts, however long this process stood still.
    this.#watch = setInterval(() => setImmediate(() => this.#look()), LOOK_MS).unref();
  }

  #look(): void {
    const now = performance.now();
    const passed = now - this.#looked;
    this.#looked = now;
    for (const worker of this.#all()) if (worker instanceof WorkerProcess) worker.look(passed, ANSWER_MS);
  }

  #serving(): Worker[] {
    return [...this.#slots.values()].filter((worker) => worker !== undefined);
  }

  #all(): Worker[] {
    return [...new Set([...this.#serving(), ...this.#leaving])];
  }

  #close(): void {
    clearInterval(this.#watch);
    this.#door?.close();
    this.#ops?.close();
  }
}
