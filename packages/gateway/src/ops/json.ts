import { MAX_DEPTH } from '../content.ts';
import { isDeeperThan } from '../routes/multiplex/source.ts';
import { OpsError } from './errors.ts';

/**
 * The object that a body is.
 * @throws OpsError bad_json, bad_request
 */
export function readObject(text: string): Readonly<Record<string, unknown>> {
  const value = parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new OpsError('bad_request');
  return value as Record<string, unknown>;
}

/** The depth is looked at first: what holds a payload is one level more than the payload. */
function parse(text: string): unknown {
  if (isDeeperThan(text, MAX_DEPTH + 1)) throw new OpsError('bad_json');
  try {
    return JSON.parse(text);
  } catch {
    throw new OpsError('bad_json');
  }
}
