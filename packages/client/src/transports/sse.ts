import type { ServerFrame } from '../frames.ts';
import { ask } from './http.ts';
import { endOf } from './probe.ts';
import { StreamParser } from './sse-parser.ts';
import type { Link, LinkEvents, Target } from './transport.ts';
import { Uplink } from './uplink.ts';

const STREAM_TYPE = 'text/event-stream';

/** An event stream down, requests up. By `fetch` and not by EventSource, which can send no token and tells no status. */
export function openSse(target: Target, events: LinkEvents): Link {
  const abort = new AbortController();
  const { signal } = abort;
  let uplink: Uplink | undefined;
  const link: LinkEvents = {
    heard: events.heard,
    frame: (frame) => {
      if (frame.type === 'welcome') uplink = new Uplink(target, frame.session, signal, link);
      events.frame(frame);
    },
    ended: (end) => {
      if (signal.aborted) return;
      abort.abort();
      events.ended(end);
    },
  };
  read(target, link, signal).catch(() => link.ended({}));
  return {
    get buffered() {
      return uplink?.buffered ?? 0;
    },
    send: (frames) => uplink?.send(frames),
    close: () => abort.abort(),
  };
}

/** Until the stream ends. */
async function read(target: Target, events: LinkEvents, signal: AbortSignal): Promise<void> {
  const response = await ask(target, signal, undefined, '', STREAM_TYPE);
  if (!response.ok || !response.headers.get('content-type')?.startsWith(STREAM_TYPE)) return events.ended(await endOf(response));
  const parser = new StreamParser();
  const reader = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>).getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    events.heard();
    // Some frames are named by their event.
    for (const { type, data } of parser.feed(read.value)) events.frame({ ...(type !== 'message' && { type }), ...(JSON.parse(data) as object) } as ServerFrame);
  }
  events.ended({ retryAfter: parser.retry });
}
