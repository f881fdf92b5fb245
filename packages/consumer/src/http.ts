import type { Outlet } from './outlet.ts';
import { isOwnHeader } from './reply-rules.ts';
import { type Asker, askerOf, fetchRequest } from './request.ts';
import type { HttpTarget, Params } from './target.ts';
import type { Header, HttpRequestEvent } from './wire.ts';

/** Answers a request of the Fetch standard. `params` are those of the path. Its headers have no token: who makes it stands in `asker`. */
export type HttpFunction<P extends Params = Params> = (request: Request, params: P, asker: Asker) => Response | Promise<Response>;

/** A handler of plain HTTP requests; the body of what it answers is streamed as it comes. `request.signal` aborts when the client leaves. */
export function http<P extends Params = Params>(handle: HttpFunction<P>): HttpTarget {
  return {
    kind: 'http',
    handle: async (event, params, outlet, signal) => {
      const response = await handle(fetchRequest(event, signal), params as P, askerOf(event));
      await answer(event, response, outlet, signal);
    },
  };
}

async function answer(event: HttpRequestEvent, response: Response, outlet: Outlet, signal: AbortSignal): Promise<void> {
  const { status, body } = response;
  if (status < 200) throw new TypeError(`an answer must have a status, not ${status}`);
  const headers = headersOf(response.headers);
  if (body === null) return outlet.reply({ type: 'http.response', status, headers, done: event.order });
  const reader = body.getReader();
  const leave = (): void => void reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener('abort', leave);
  try {
    await outlet.reply({ type: 'http.response.start', status, headers });
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      if (!((piece.value as unknown) instanceof Uint8Array)) throw new TypeError('the body of an answer must be bytes: encode its text');
      await outlet.reply({ type: 'http.response.body', body: piece.value, more_body: true });
    }
    if (!signal.aborted) await outlet.reply({ type: 'http.response.body', more_body: false });
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

function headersOf(headers: Headers): readonly Header[] {
  // Fetch's iteration gives each Set-Cookie apart.
  return [...headers].filter(([name]) => name !== 'keep-alive' && !isOwnHeader(name));
}
