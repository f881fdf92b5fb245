import type { LayerLogger } from '@busgate/layer';
import { Collector } from '../../../../test/support/events.ts';

/** A logger that keeps what it is told. */
export function keepingLog(): { lines: Collector<string>; logger: LayerLogger } {
  const lines = new Collector<string>();
  const keep = (message: string, fields?: Record<string, unknown>): void => lines.push(`${message} ${JSON.stringify(fields ?? {})}`);
  return { lines, logger: { info: keep, warn: keep, error: keep } };
}
