import { requireCapability } from './abilities.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import type { KeptRecord, LayerStats, Message, ResolvedOptions } from './contract.ts';
import type { Driver } from './driver/driver.ts';
import type { RecordStore } from './driver/records.ts';
import { LayerError } from './errors.ts';
import { checkName } from './names.ts';

/** The longest that a record is kept, in milliseconds: a hundred years. */
const LONGEST_MS = 36_525 * 86_400_000;

/** What this process keeps for all others, and reads of what they keep. */
export class Records {
  readonly #driver: Driver;
  readonly #options: ResolvedOptions;
  readonly #stats: LayerStats;
  readonly #checkReachable: () => void;

  /** `checkReachable` throws where the broker cannot be asked. */
  constructor(driver: Driver, options: ResolvedOptions, stats: LayerStats, checkReachable: () => void) {
    this.#driver = driver;
    this.#options = options;
    this.#stats = stats;
    this.#checkReachable = checkReachable;
  }

  /**
   * Keeps a message under a key of a set, both names, until a time, in the place of the one that was kept there. Who asks for the set afterwards finds it, in whatever process.
   * @throws LayerError INVALID_NAME, INVALID_MESSAGE, MESSAGE_TOO_LARGE; INVALID_OPTION for a time that has passed or is more than 100 years away
   */
  async keep(set: string, key: string, message: Message, until: Date): Promise<void> {
    checkName('set', set);
    checkName('key', key);
    const payload = encodeMessage(message, this.#options.maxMessageBytes);
    const lifeMs = until.getTime() - Date.now();
    if (!(lifeMs > 0 && lifeMs <= LONGEST_MS)) throw new LayerError('INVALID_OPTION', 'until must be a time to come, within 100 years');
    await this.#store().keep(set, key, payload, Math.ceil(lifeMs));
  }

  /** All of a set that are not over, in any order. */
  async all(set: string): Promise<readonly KeptRecord[]> {
    checkName('set', set);
    const stored = await this.#store().all(set);
    return stored.flatMap(({ key, payload }) => {
      const message = decodeMessage(payload);
      if (message !== undefined) return [{ key, message }];
      this.#stats.undecodable += 1;
      this.#options.logger.warn('a record could not be read and was skipped', { set, key });
      return [];
    });
  }

  #store(): RecordStore {
    this.#checkReachable();
    requireCapability(this.#driver.capabilities, 'records');
    const { records } = this.#driver;
    if (records === undefined) throw new TypeError('a driver that declares records has none');
    return records;
  }
}
