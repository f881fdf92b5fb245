import type { Driver, ResolvedOptions } from '@busgate/layer/driver';
import { createDriver } from '../src/index.ts';
import { Log } from './log.ts';

/** A driver without a layer over it, of a process of its own. */
export async function openDriver(url: string, process: string, options: Partial<ResolvedOptions> = {}): Promise<Driver & AsyncDisposable> {
  const resolved: ResolvedOptions = {
    prefix: 'busgate',
    capacity: 100,
    expiryMs: 60_000,
    groupExpiryMs: 86_400_000,
    maxMessageBytes: 1_048_576,
    history: [],
    traces: false,
    logger: new Log(),
    ...options,
  };
  const driver = createDriver(url, { options: resolved, process });
  await driver.open({ state() {}, fault() {}, undecodable() {}, dropped() {} });
  return Object.assign(driver, { [Symbol.asyncDispose]: () => driver.close() });
}
