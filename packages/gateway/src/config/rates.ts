import type { Rate } from '../limits/bucket.ts';
import { count, size, type ValueType } from './types.ts';

const WRITTEN = /^(\S+)\/s(?: +burst +(\S+))?$/;

/** So many things a second. */
export const rate: ValueType<Rate> = perSecond(count(1, 1_000_000_000), '100', '200');

/** So many bytes a second. */
export const byteRate: ValueType<Rate> = perSecond(size('1B', '1024GiB'), '64KiB', '256KiB');

/** A number of things a second, without a burst: `100`, or `100/s`. */
export function paceOf(from: number, to: number): ValueType<number> {
  const whole = count(from, to);
  const allowed = `${whole.allowed} a second, such as 100 or 100/s`;
  return {
    ...whole,
    name: 'rate',
    allowed,
    placeholder: 'RATE',
    read: (raw, report) => whole.read(typeof raw === 'string' ? raw.replace(/\/s$/, '') : raw, (fault) => report({ ...fault, got: raw, must: allowed })),
  };
}

/** An amount a second, and how much at once: what a second has, where that is not said. */
function perSecond(amount: ValueType<number>, example: string, burst: string): ValueType<Rate> {
  const allowed = `${amount.allowed.replace(/, such as .*$/, '')} a second, and how much at once where that is more or less, such as ${example}/s or ${example}/s burst ${burst}`;
  return {
    name: 'rate',
    allowed,
    placeholder: 'RATE',
    read(raw, report) {
      const [, steady, atOnce = steady] = (typeof raw === 'string' && WRITTEN.exec(raw)) || [];
      const read = [steady, atOnce].map((written) => (written === undefined ? undefined : amount.read(written, () => undefined)));
      const [perSecond, burst] = read;
      if (perSecond !== undefined && burst !== undefined) return { perSecond, burst };
      report({ got: raw, must: allowed });
      return undefined;
    },
    write: ({ perSecond, burst }) => `${String(amount.write(perSecond))}/s burst ${String(amount.write(burst))}`,
  };
}
