import { Buffer } from 'node:buffer';
import type { Answer } from '../answer.ts';

/** An answer whose JSON was put together before: what it holds of payloads stays as it was published. */
export function rawJson(text: string): Answer {
  const body = Buffer.from(`${text}\n`);
  return { status: 200, headers: { 'Content-Type': 'application/json', 'Content-Length': String(body.length) }, body };
}
