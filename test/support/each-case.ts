import { inspect } from 'node:util';

type Checked = void | Promise<void>;

/** Checks every case of a table within one test: a list of values, or one. Fails with all those that do not hold, each named by its values. */
export function eachCase<T extends unknown[] | [unknown]>(cases: readonly T[], check: (...values: T) => Checked): Promise<void>;
export function eachCase<T>(cases: readonly T[], check: (value: T) => Checked): Promise<void>;
export async function eachCase(cases: readonly unknown[], check: (...values: unknown[]) => Checked): Promise<void> {
  const failures: Error[] = [];
  for (const one of cases) {
    const values: readonly unknown[] = Array.isArray(one) ? one : [one];
    try {
      await check(...values);
    } catch (cause) {
      const what = values.map((value) => inspect(value)).join(', ');
      failures.push(new Error(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause }));
    }
  }
  if (failures.length > 0)
    throw new AggregateError(failures, `${failures.length} of ${cases.length} cases:\n${failures.map(({ message }) => message).join('\n')}`);
}
