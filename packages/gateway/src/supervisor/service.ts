import type { Socket } from 'node:net';
import type { Config } from '../config.ts';
import { Gateway } from '../gateway.ts';
import type { Readiness } from '../health.ts';
import { CAN_SHARE, type Listening } from '../listen.ts';
import type { StreamLog } from '../log.ts';
import { readVersion } from '../version.ts';
import { type Door, openDoor } from './door.ts';
import type { ReadSettings } from './settings.ts';
import { Supervisor } from './supervisor.ts';

const SHARING = CAN_SHARE ? 'shared' : 'handed';

/** What a process was started with serves until it ends: these take effect with a restart alone. */
const FIXED = ['host', 'port', 'ops', 'workers'] as const;

interface ServiceBeginning {
  readonly config: Config;
  readonly log: StreamLog;
  readonly drainAsked: PromiseWithResolvers<void>;
}

/**
 * What one `busgate serve` is: with one worker a gateway in this process, which becomes the first worker of a supervisor when its settings are read again; else a
 * supervisor and its workers.
 */
export class Service {
  /** Resolves with the reason where workers die faster than they can be replaced. */
  readonly failed: Promise<string>;
  /** Resolves when an operator has asked for a drain. */
  readonly drainAsked: Promise<void>;
  readonly #config: Config;
  readonly #log: StreamLog;
  readonly #door: Door;
  readonly #ops: Listening;
  readonly #fail: (reason: string) => void;
  readonly #onDrain: () => void;
  #serving: Gateway | Supervisor;

  private constructor({ config, log, drainAsked }: ServiceBeginning, serving: Gateway | Supervisor, door: Door) {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.failed = promise;
    this.drainAsked = drainAsked.promise;
    this.#onDrain = () => drainAsked.resolve();
    this.#fail = resolve;
    this.#config = config;
    this.#log = log;
    this.#serving = serving;
    this.#door = door;
    this.#ops = serving.ops;
    if (serving instanceof Supervisor) void serving.failed.then(resolve);
  }

  /** Rejects where it cannot serve; nothing runs then. */
  static async start(config: Config, settings: ReadSettings, log: StreamLog): Promise<Service> {
    const drainAsked = Promise.withResolvers<void>();
    const beginning = { config, log, drainAsked };
    const onDrain = (): void => drainAsked.resolve();
    if (config.workers > 1) {
      const supervisor = await Supervisor.start({ config, settings, log, sharing: SHARING, onDrain });
      return new Service(beginning, supervisor, supervisor.door);
    }
    const way = { hand: (socket: Socket): unknown => socket.destroy() };
    const door = await openDoor(config.host, config.port, SHARING, (socket) => way.hand(socket));
    try {
      const gateway = await Gateway.start({ config: { ...config, port: door.listening.port }, log, version: readVersion(), door: SHARING, onDrain });
      const service = new Service(beginning, gateway, door);
      way.hand = (socket) => service.#hand(socket);
      return service;
    } catch (error) {
      door.close();
      throw error;
    }
  }

  get listening(): Door['listening'] {
    return this.#door.listening;
  }

  get ops(): Listening {
    return this.#ops;
  }

  async readiness(): Promise<Readiness> {
    return this.#serving.readiness();
  }

  /** Resolves once the layer has been reached. */
  reached(): Promise<void> {
    return this.#serving instanceof Gateway ? this.#serving.reached : this.#serving.reached();
  }

  /** Replaces all workers by fresh ones that have these settings. A reason where these cannot be had without a restart; nothing has changed then. */
  async reload(config: Config, settings: ReadSettings): Promise<string | undefined> {
    const changed = FIXED.filter((key) => JSON.stringify(config[key]) !== JSON.stringify(this.#config[key]));
    if (changed.length > 0) return `${changed.join(', ')} cannot be changed without a restart`;
    if (this.#serving instanceof Gateway) this.#serving = this.#adopt(this.#serving, settings);
    await this.#serving.reload(settings);
    return undefined;
  }

  drain(order: { readonly notice: boolean }): Promise<void> {
    return this.#serving.drain(order);
  }

  /** Ends every other process at once. */
  kill(): void {
    if (this.#serving instanceof Supervisor) this.#serving.kill();
  }

  #adopt(gateway: Gateway, settings: ReadSettings): Supervisor {
    const supervisor = Supervisor.adopt({ config: this.#config, settings, log: this.#log, sharing: SHARING, onDrain: this.#onDrain }, gateway, this.#door);
    void supervisor.failed.then(this.#fail);
    return supervisor;
  }

  #hand(socket: Socket): void {
    if (this.#serving instanceof Supervisor) this.#serving.hand(socket);
    else this.#serving.accept(socket);
  }
}
