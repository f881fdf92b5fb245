import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { isatty } from 'node:tty';
import type { LogFormat } from './config/schema.ts';

/** Whether the log on standard error is for people. */
export function isReadable(format: LogFormat): boolean {
  return format === 'auto' ? isatty(2) : format === 'text';
}

/**
 * Standard output (1) or error (2), written without ever waiting: `process.stdout` and `process.stderr` wait for whoever reads a pipe, and with
 * them the whole process would. Ask once for each.
 */
export function openOutput(descriptor: 1 | 2): Writable {
  const kind = fstatSync(descriptor);
  if (kind.isFIFO() || kind.isSocket()) return new Socket({ fd: descriptor, readable: false, writable: true });
  return descriptor === 1 ? process.stdout : process.stderr;
}
