import { isLayerError } from '@busgate/layer';
import { escapeUnsafe } from '../escape.ts';

/** Why something failed, in one line. */
export function reasonOf(error: unknown): string {
  if (isLayerError(error)) return `${error.code}: ${error.message}`;
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}

/** One line on standard error, in the name of the command. */
export function note(command: string, text: string): void {
  process.stderr.write(`busgate ${command}: ${escapeUnsafe(text)}\n`);
}
