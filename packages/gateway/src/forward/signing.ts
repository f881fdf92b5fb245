import { Buffer } from 'node:buffer';
import { createHmac } from 'node:crypto';

const PREFIX = 'whsec_';
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** Bytes of a key (Standard Webhooks, "Signature scheme"). */
const MIN_KEY = 24;
const MAX_KEY = 64;

/** In words, after "must be". */
export const SECRET_RULE = `${PREFIX} and ${MIN_KEY} to ${MAX_KEY} bytes in base64`;

/** The key that a secret says; undefined where it is none. */
export function keyOf(secret: string): Buffer | undefined {
  const encoded = secret.slice(PREFIX.length);
  if (!secret.startsWith(PREFIX) || !BASE64.test(encoded)) return undefined;
  const key = Buffer.from(encoded, 'base64');
  return key.length >= MIN_KEY && key.length <= MAX_KEY ? key : undefined;
}

/** The secrets of a file: one, or two during a rotation, one a line; undefined where it holds anything else. */
export function secretsIn(content: string): readonly string[] | undefined {
  const secrets = content.split(/\r?\n/).filter((line) => line !== '');
  return areSecrets(secrets) ? secrets : undefined;
}

export function areSecrets(values: readonly unknown[]): values is readonly string[] {
  return values.length > 0 && values.length <= 2 && values.every((value) => typeof value === 'string' && keyOf(value) !== undefined);
}

/**
 * The headers of the Standard Webhooks specification. Each key signs, so that a receiver may know either of two during a rotation; without a key there is no signature.
 * @param seconds since 1970, when this attempt is made
 */
export function signedHeaders(id: string, seconds: number, body: string, keys: readonly Buffer[]): Record<string, string> {
  const headers = { 'webhook-id': id, 'webhook-timestamp': String(seconds) };
  if (keys.length === 0) return headers;
  const signatures = keys.map((key) => `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`);
  return { ...headers, 'webhook-signature': signatures.join(' ') };
}
