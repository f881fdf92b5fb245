import type { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { ResolvedOptions } from '@busgate/layer/driver';
import { scanKeys } from '../flush.ts';
import { SCRIPTS, type Runner } from '../scripts.ts';
import type { ChannelsNames } from './names.ts';

/** How often a gateway says that it lives, and looks who else does. */
export const LOOK_MS = 5000;
/** A gateway that has said nothing new at so many looks is dead: with the time to the first of them less than the lease of 30 s. */
const PATIENCE = 4;
/** The least time that the list of gateways lives, in seconds. */
const LEAST_TTL = 3600;
const COUNT = 1000;

/**
 * Takes the channels of gateways that died without leaving out of the groups on one host of the core layer, where a member stays for a day and its
 * queue is filled by every send. Whoever dies is told by looks of our own, never by a clock, and looks count only while the host was there all the
 * time: an outage kills nobody. Python's processes are never on the list.
 */
export class Janitor {
  readonly #runner: Runner;
  readonly #names: ChannelsNames;
  readonly #options: Pick<ResolvedOptions, 'groupExpiryMs' | 'logger'>;
  readonly #lost: () => void;
  readonly #seen = new Map<string, { readonly said: string; looks: number }>();
  #known = false;
  #leaving = false;
  #cleaning: Promise<void> | undefined;

  /** `lost` is called when this gateway itself was taken for dead, or everything was removed. */
  constructor(runner: Runner, names: ChannelsNames, options: Pick<ResolvedOptions, 'groupExpiryMs' | 'logger'>, lost: () => void) {
    this.#runner = runner;
    this.#names = names;
    this.#options = options;
    this.#lost = lost;
  }

  /** Says that this gateway lives, and begins to clean up after each that does not. */
  async sayAlive(): Promise<void> {
    const ttl = Math.max(Math.ceil(this.#options.groupExpiryMs / 1000), LEAST_TTL);
    const { lives, process } = this.#names;
    let reply: [number, Buffer[]];
    try {
      reply = (await SCRIPTS.channelsBeat.run(this.#runner, lives, process, sign(), ttl)) as [number, Buffer[]];
    } catch (error) {
      this.forget();
      throw error;
    }
    const [added, listed] = reply;
    if (added === 1 && this.#known) this.#lost();
    this.#known = true;
    const dead = this.#judge(listed.map(String));
    if (dead.length > 0) this.#cleaning ??= this.#clean(dead).finally(() => (this.#cleaning = undefined));
  }

  /** The host was away or was emptied: what was seen before says nothing. */
  forget(): void {
    this.#seen.clear();
    this.#known = false;
  }

  /** This gateway leaves in order. What it was cleaning up is left to others. */
  async leave(): Promise<void> {
    this.#leaving = true;
    await this.#cleaning;
    await this.#runner.run('hdel', this.#names.lives, this.#names.process).catch(() => undefined);
  }

  #judge(listed: readonly string[]): readonly string[] {
    const gone = new Set(this.#seen.keys());
    const dead: string[] = [];
    for (let index = 0; index < listed.length; index += 2) {
      const [process, said] = [listed[index] as string, listed[index + 1] as string];
      const known = this.#seen.get(process);
      gone.delete(process);
      if (known?.said !== said) this.#seen.set(process, { said, looks: 0 });
      else if ((known.looks += 1) >= PATIENCE) dead.push(process);
    }
    for (const process of gone) this.#seen.delete(process);
    return dead;
  }

  async #clean(dead: readonly string[]): Promise<void> {
    const { logger } = this.#options;
    for (const process of dead) {
      try {
        const memberships = await this.#cleanAfter(process);
        if (memberships === undefined) return;
        logger.info('a gateway that died was taken out of its groups', { process, memberships });
      } catch (error) {
        logger.warn('a gateway that died could not be taken out of its groups; trying again', { process, error: String(error) });
      }
    }
  }

  /** What it said is replaced first: the others begin to count anew, and take over where this process ends meanwhile (undefined). */
  async #cleanAfter(process: string): Promise<number | undefined> {
    const { lives, groupPattern } = this.#names;
    await this.#runner.run('hset', lives, process, sign());
    let memberships = 0;
    for await (const keys of scanKeys(this.#runner, groupPattern)) {
      if (this.#leaving) return undefined;
      const removed = await Promise.all(keys.map((key) => this.#leaveGroup(key, process)));
      memberships += removed.reduce((sum, count) => sum + count, 0);
    }
    await this.#runner.run('unlink', this.#names.inboxOf(process));
    await this.#runner.run('hdel', lives, process);
    return memberships;
  }

  async #leaveGroup(key: string, process: string): Promise<number> {
    let removed = 0;
    let cursor = '0';
    do {
      const [next, found] = (await this.#runner.run('zscan', key, cursor, 'MATCH', `*.${process}!*`, 'COUNT', COUNT)) as [Buffer, Buffer[]];
      cursor = next.toString();
      const members = found.filter((_, index) => index % 2 === 0);
      if (members.length > 0) removed += (await this.#runner.run('zrem', key, ...members)) as number;
    } while (cursor !== '0');
    return removed;
  }
}

/** Something that was never said before. */
function sign(): string {
  return randomBytes(6).toString('hex');
}
