import { LineFraming } from './ndjson/framing.ts';
import type { StreamWire } from './stream/transport.ts';

/** Streams of one JSON object a line: for programs that read lines. */
export const LINE_STREAM: StreamWire = {
  name: 'stream',
  type: 'application/x-ndjson',
  framings: { exact: new LineFraming(false), json: new LineFraming(true) },
  begin: () => undefined,
};
