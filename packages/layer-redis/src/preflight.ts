import type { LayerLogger } from '@busgate/layer/driver';
import type { Runner } from './scripts.ts';

const MIB = 1_048_576;
/** Redis's own defaults for subscribers: less cuts off a process in a burst that it would survive. */
const LEAST_HARD = 32 * MIB;
const LEAST_SOFT = 8 * MIB;
const OLDEST = [6, 2] as const;

/** Looks at the settings of a server that lose data, and says the fix, once a process. */
export class Preflight {
  readonly #logger: LayerLogger;
  readonly #told = new Set<string>();

  constructor(logger: LayerLogger) {
    this.#logger = logger;
  }

  /** @returns the server's `run_id`, where these credentials may see it */
  async check(runner: Runner): Promise<string | undefined> {
    let id: string | undefined;
    try {
      const info = String(await runner.run('info'));
      id = field(info, 'run_id');
      this.#checkVersion(field(info, 'redis_version'));
      this.#checkEviction(info);
      await this.#checkBuffers(runner);
    } catch (error) {
      this.tell('settings of Redis that lose data could not be looked for: these credentials may not use INFO or CONFIG GET', {
        reason: (error as Error).message,
      });
    }
    return id;
  }

  /** Says it once. */
  tell(message: string, fields: Record<string, unknown>): void {
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#logger.warn(message, fields);
  }

  #checkVersion(version = '0.0'): void {
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return;
    this.tell('this Redis is too old: queues and histories need 6.2', { version });
  }

  #checkEviction(info: string): void {
    const policy = field(info, 'maxmemory_policy');
    if (policy === undefined || policy === 'noeviction') return;
    const maxmemory = Number(field(info, 'maxmemory') ?? 0);
    const when = maxmemory === 0 ? 'as soon as it is given a maxmemory' : 'when memory runs out';
    this.tell(`Redis may evict queues, memberships and histories ${when}: set maxmemory-policy noeviction`, { policy, maxmemory });
  }

  async #checkBuffers(runner: Runner): Promise<void> {
    const [, limits = ''] = ((await runner.run('config', 'GET', 'client-output-buffer-limit')) as Buffer[]).map(String);
    const match = /pubsub (\d+) (\d+) \d+/.exec(limits);
    const [hard, soft] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
    if ((hard === 0 || hard >= LEAST_HARD) && (soft === 0 || soft >= LEAST_SOFT)) return;
    this.tell('Redis cuts off subscribers in small bursts: set client-output-buffer-limit pubsub to 32mb 8mb 60 or more', { hard, soft });
  }
}

/** A line of `INFO`. */
function field(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
}
