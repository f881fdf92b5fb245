import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';

/** What a wire tells its reader, whatever its framing. Of a room's own path `room` is not there, and `cursor` is a position. */
export interface Heard {
  readonly type: string;
  readonly room?: string;
  readonly text?: string;
  readonly position?: string;
  readonly recovered?: boolean;
  readonly cursor?: string;
  readonly code?: string;
  /** What the frame said that is answered. */
  readonly ref?: string;
}

/** A wire that stands. */
export interface Wire {
  /** Of a socket. */
  readonly send?: (frame: object) => void;
  /** Cuts it: nothing is heard from it any more. */
  cut(): void;
}

export interface WireEvents {
  /** It stands; before anything is heard from it. */
  opened(wire: Wire): void;
  hear(heard: Heard): void;
  /** It has ended, and was not cut. */
  ended(): void;
}

/** By POST where it has a body. */
export interface Request {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object;
}

/** For as long as a layer may be away. */
const PATIENCE_MS = 30_000;
const ASK_AGAIN_MS = 20;

const ACCEPT = { sse: 'text/event-stream', lines: 'application/x-ndjson' } as const;

/** Asks again while the layer is away: then nothing was done. */
export async function untilBack(question: () => Promise<Response>): Promise<Response> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const answer = await question();
    if (answer.status !== 503 || performance.now() > end) return answer;
    await answer.arrayBuffer();
    await delay(ASK_AGAIN_MS);
  }
}

/** @throws StatusError where it is not answered 200 */
export async function ask(origin: string, { path, headers = {}, body }: Request, signal: AbortSignal): Promise<Response> {
  const posted = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const all = body === undefined ? headers : { 'Content-Type': 'application/json', ...headers };
  const answer = await untilBack(() => fetch(`http://${origin}${path}`, { ...posted, headers: all, signal }));
  if (answer.status !== 200) throw new StatusError(answer.status, await answer.text());
  return answer;
}

/**
 * Resolves once the stream is open.
 * @throws StatusError where it is refused
 */
export async function openStream(origin: string, kind: 'sse' | 'lines', request: Request, events: WireEvents): Promise<void> {
  const cut = new AbortController();
  const answer = await ask(origin, { ...request, headers: { ...request.headers, Accept: ACCEPT[kind] } }, cut.signal);
  events.opened({ cut: () => cut.abort() });
  const separator = kind === 'sse' ? '\n\n' : '\n';
  void read(answer.body, separator, (piece) => {
    if (!cut.signal.aborted) for (const heard of kind === 'sse' ? heardOfBlock(piece) : [JSON.parse(piece) as Heard]) events.hear(heard);
  }).finally(() => {
    if (!cut.signal.aborted) events.ended();
  });
}

/**
 * A socket of `/socket`; resolves once it is welcome.
 * @throws StatusError where it is refused
 */
export async function openSocket(origin: string, events: WireEvents): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      await openSocketOnce(origin, events);
      return;
    } catch (error) {
      if (!(error instanceof StatusError) || error.status !== 503 || performance.now() > end) throw error;
    }
    await delay(ASK_AGAIN_MS);
  }
}

function openSocketOnce(origin: string, events: WireEvents): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = new WebSocket(`ws://${origin}/socket`, ['busgate.v1'], { perMessageDeflate: false });
  let isCut = false;
  const wire: Wire = { send: (frame) => socket.send(JSON.stringify(frame)), cut: () => ((isCut = true), socket.terminate()) };
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as Heard;
    if (frame.type === 'welcome') resolve(events.opened(wire));
    else if (!isCut) events.hear(frame);
  });
  socket.on('unexpected-response', (request, { statusCode = 0 }) => {
    request.destroy();
    reject(new StatusError(statusCode, ''));
  });
  socket.on('error', reject);
  socket.on('close', (code) => {
    reject(new Error(`closed with ${code}`));
    if (!isCut) events.ended();
  });
  return promise;
}

/** A request was answered otherwise than asked for. */
class StatusError extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    super(`answered ${status}: ${text}`);
    this.status = status;
  }
}

/** Resolves when the stream has ended, in whatever way. */
async function read(body: Response['body'], separator: string, take: (piece: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const bytes of body ?? []) {
      const pieces = (text + decoder.decode(bytes, { stream: true })).split(separator);
      text = pieces.pop() ?? '';
      for (const piece of pieces) take(piece);
    }
  } catch {
    // It was cut, here or there.
  }
}

/** A message, and then the place behind it, where the block has both. */
function heardOfBlock(block: string): Heard[] {
  const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
  const [name, data, id] = [field('event'), field('data'), field('id')];
  const mark: Heard[] = id === undefined ? [] : [{ type: 'cursor', cursor: id }];
  if (data === undefined) return mark;
  if (name !== undefined) return [{ type: name, ...JSON.parse(data) } as Heard, ...mark];
  // A room's own path has the payload as it is.
  return data.startsWith('{') ? [JSON.parse(data) as Heard, ...mark] : [{ type: 'message', text: data, ...(id !== undefined && { position: id }) }];
}
