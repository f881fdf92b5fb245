import type { PublishOptions } from './contract.ts';
import { LayerError } from './errors.ts';

/**
 * Refuses an id that a broker could not carry.
 * @throws LayerError INVALID_OPTION
 */
export function checkId(id: PublishOptions['id']): void {
  if (id !== undefined && !(typeof id === 'string' && /^[!-~]{1,128}$/.test(id))) {
    throw new LayerError('INVALID_OPTION', 'option id must be 1 to 128 visible ASCII characters');
  }
}

/** One id for a room or queue and an id in it. No name holds a space, so no two pairs meet. */
export function idIn(name: string, id: string): string {
  return `${name} ${id}`;
}
