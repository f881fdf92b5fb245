import { Buffer } from 'node:buffer';
import type { LeaseRecord } from '@busgate/layer/driver';
import type { Arrival } from './connection.ts';
import { headerOf, type StoredMessage } from './jetstream.ts';
import { LIFETIME } from './lifetime.ts';
import type { StreamMessage } from './stream-writer.ts';

/** What is written on the subject of a lease: that it lives, with a number that grows with each renewal, or that others have ended it. */
export type LeaseState = { readonly ttlMs: number; readonly renewal: number } | 'ended';

const ALIVE = /^alive (\d+) (\d+)$/;
const ENDED = 'ended';

export function writeState(state: LeaseState): Uint8Array {
  return Buffer.from(state === ENDED ? ENDED : `alive ${state.ttlMs} ${state.renewal}`);
}

/** Undefined for what is none. */
export function readState(payload: Uint8Array): LeaseState | undefined {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('latin1');
  if (text === ENDED) return ENDED;
  const [, ttlMs, renewal] = ALIVE.exec(text) ?? [];
  return ttlMs === undefined ? undefined : { ttlMs: Number(ttlMs), renewal: Number(renewal) };
}

const QUEUE = 'Busgate-Queue';
const ID = 'Busgate-Id';

export function writeRecord({ queue, id, expiryMs, payload }: LeaseRecord): Omit<StreamMessage, 'subject'> {
  return { payload, headers: { [QUEUE]: queue, [ID]: id, [LIFETIME]: `${expiryMs}` } };
}

/** Undefined for what is none. */
export function readRecord(message: StoredMessage): Omit<LeaseRecord, 'key'> | undefined {
  return record(Buffer.from(message.data, 'base64'), (name) => headerOf(message, name) ?? '');
}

/** The same as it comes through a consumer. */
export function recordIn(arrival: Arrival): Omit<LeaseRecord, 'key'> | undefined {
  return record(arrival.payload, (name) => arrival.header(name));
}

function record(payload: Uint8Array, header: (name: string) => string): Omit<LeaseRecord, 'key'> | undefined {
  const read = { queue: header(QUEUE), id: header(ID), expiryMs: Number(header(LIFETIME)), payload };
  return read.queue !== '' && read.id !== '' && read.expiryMs > 0 ? read : undefined;
}
