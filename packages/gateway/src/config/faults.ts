import { escapeUnsafe } from '../escape.ts';
import { maskUrl } from './layer-url.ts';
import type { Fault } from './types.ts';

const MAX_SHOWN = 80;

/** The configuration cannot be used. Nothing was started. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  /** Every fault, one sentence each, which is a line whatever was written. */
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    const lines = faults.map(escapeUnsafe);
    super(lines.join('\n'));
    this.faults = lines;
  }
}

/** One fault as a sentence: where it was said, what was said, what is allowed. Secrets are masked. */
export function sentence(where: string, fault: Fault, secret: boolean): string {
  const place = `${where}${fault.at ?? ''}`;
  return fault.got === undefined ? `${place} must be ${fault.must}` : `${place} is ${shown(fault.got, secret)}, but must be ${fault.must}`;
}

/** A value as an error shows it: short, without control characters. */
export function shown(value: unknown, secret: boolean): string {
  const masked = secret && typeof value === 'string' ? maskUrl(value) : value;
  const written = escapeUnsafe(JSON.stringify(masked) ?? String(masked));
  return written.length > MAX_SHOWN ? `${written.slice(0, MAX_SHOWN)}…` : written;
}
