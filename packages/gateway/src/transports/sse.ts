import { EventFraming } from './sse/framing.ts';
import { chunkOf } from './stream/chunks.ts';
import type { StreamWire } from './stream/transport.ts';

/** A client that was cut comes back after this, and up to as much more, in milliseconds. */
const RETRY_MS = 1000;

/** Event streams: what a browser's EventSource asks for. */
export const EVENT_STREAM: StreamWire = {
  name: 'sse',
  type: 'text/event-stream',
  framings: { exact: new EventFraming(false), json: new EventFraming(true) },
  begin: () => chunkOf(`retry: ${RETRY_MS + Math.floor(Math.random() * RETRY_MS)}\n\n`),
};
