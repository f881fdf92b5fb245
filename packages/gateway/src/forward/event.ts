import { Buffer } from 'node:buffer';
import { isTraceparent } from '../tracing.ts';

/** What an event is, for who hands it on. */
export interface ForwardedEvent {
  readonly type: string;
  readonly id: string;
  /** Null: nobody waits for its being done. */
  readonly order: number | null;
  readonly replyChannel: string;
  /** Of the trace that it is part of. */
  readonly traceparent: string | undefined;
  /** As it is posted. */
  readonly body: string;
}

/** Visible ASCII, as a header can carry it. */
const ID = /^[\u0021-\u007E]{1,256}$/;

/** Reads a message of a queue; undefined where it is no event of a gateway. */
export function readEvent(payload: Uint8Array): ForwardedEvent | undefined {
  const body = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString();
  try {
    const { type, id, order, reply_channel: replyChannel, traceparent } = JSON.parse(body) as Record<string, unknown>;
    if (typeof type !== 'string' || typeof id !== 'string' || !ID.test(id) || typeof replyChannel !== 'string') return undefined;
    return {
      type,
      id,
      order: typeof order === 'number' ? order : null,
      replyChannel,
      traceparent: isTraceparent(traceparent) ? traceparent : undefined,
      body,
    };
  } catch {
    return undefined;
  }
}
