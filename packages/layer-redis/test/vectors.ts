import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import type { Packable } from '../src/channels/msgpack.ts';

/** A recording of the real channels_redis. */
export interface Vector {
  readonly id: string;
  readonly description: string;
  readonly layer: string;
  readonly operation: string;
  readonly config?: { readonly serializer_format?: string; readonly symmetric_encryption_keys?: readonly string[]; readonly random_prefix_length?: number };
  readonly input?: { message?: unknown };
  readonly payload?: readonly string[];
  readonly msgpack_b64?: string;
  readonly inner_msgpack?: string;
  readonly received?: unknown;
  readonly error?: string;
  readonly names?: { group: [string, boolean][]; channel: [string, boolean][] };
  readonly rows?: readonly [name: string, hosts: number, index: number][];
}

export const { cases } = JSON.parse(readFileSync(new URL('wire/channels-redis-vectors.json', import.meta.url), 'utf8')) as { cases: Vector[] };

/** A value of the vectors as the package has it. */
export function value(vector: unknown): Packable {
  if (Array.isArray(vector)) return vector.map(value);
  if (typeof vector !== 'object' || vector === null) return vector as Packable;
  const tagged = vector as { $bytes?: string; $int?: string; $float?: string; $tuple?: unknown[]; $repeat?: [string, number] };
  if (tagged.$bytes !== undefined) return Buffer.from(tagged.$bytes, 'base64');
  if (tagged.$int !== undefined) return BigInt(tagged.$int);
  if (tagged.$float !== undefined) return Number(tagged.$float);
  if (tagged.$tuple !== undefined) return tagged.$tuple.map(value);
  if (tagged.$repeat !== undefined) return tagged.$repeat[0].repeat(tagged.$repeat[1]);
  return Object.fromEntries(Object.entries(vector).map(([key, member]) => [key, value(member)]));
}
