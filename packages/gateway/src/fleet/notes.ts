import { Buffer } from 'node:buffer';

/** What gateways say to each other, in rooms of their own. */
export type Note =
  /** I am here; `answer`: say so too. */
  | { readonly type: 'hello'; readonly from: string; readonly answer?: boolean }
  | { readonly type: 'bye'; readonly from: string }
  | { readonly type: 'ask'; readonly from: string; readonly id: number; readonly call: string; readonly asked: object }
  /** `answer` is absent where it could not be had. */
  | { readonly type: 'answer'; readonly from: string; readonly id: number; readonly answer?: unknown };

/** The room that all gateways of a fleet listen to. */
export const ALL = '_gateways';

/** The room that one of them listens to. */
export function roomOf(gateway: string): string {
  return `_gateway.${gateway}`;
}

/** Undefined for what is none of these: another version's, or nobody's. */
export function readNote(payload: Uint8Array): Note | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString());
  } catch {
    return undefined;
  }
  return isNote(value) ? value : undefined;
}

function isNote(value: unknown): value is Note {
  if (typeof value !== 'object' || value === null) return false;
  const { type, from, id, call, asked } = value as Record<string, unknown>;
  if (typeof from !== 'string') return false;
  if (type === 'hello' || type === 'bye') return true;
  if (!Number.isSafeInteger(id)) return false;
  return type === 'answer' || (type === 'ask' && typeof call === 'string' && typeof asked === 'object' && asked !== null);
}
