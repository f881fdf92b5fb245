import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ClientFrame, ServerFrame } from '../../src/frames.ts';

type Publish = Extract<ClientFrame, { type: 'publish' }>;

interface Question {
  readonly rooms: readonly string[];
  readonly since?: string | Readonly<Record<string, string>>;
  readonly last?: number;
  readonly poll: number;
}

/** A gateway behind a proxy that forbids WebSockets: event streams with an uplink, and polls, as the protocol says. Rooms named `live…` have no history. */
export class LetterGateway implements AsyncDisposable {
  readonly #server: Server;
  readonly #log = new Map<string, string[]>();
  readonly #sessions = new Map<string, { readonly response: ServerResponse; readonly rooms: Set<string> }>();
  readonly #waiting = new Set<() => void>();
  /** What was asked, by transport, and what was published without a session. */
  readonly asked: string[] = [];
  /** Lists of frames that came up. */
  readonly lists: ClientFrame[][] = [];
  /** A proxy that lets no stream through before it ends. */
  isBuffering = false;
  /** Rooms of the last poll. */
  polled: readonly string[] = [];
  /** Polls are looked at once it resolves. */
  polls = Promise.resolve();
  /** Answers to the next uplinks. */
  readonly refusals: number[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => void this.#answer(request, response));
    server.on('upgrade', (_, socket) => socket.destroy());
  }

  static async start(): Promise<LetterGateway> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new LetterGateway(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/socket`;
  }

  publish(room: string, text: string): string {
    const log = this.#log.get(room) ?? [];
    this.#log.set(room, log);
    log.push(text);
    for (const { response, rooms } of this.#sessions.values()) if (rooms.has(room)) write(response, this.#message(room, log.length));
    for (const wake of this.#waiting) wake();
    return `e:${log.length}`;
  }

  /** Ends every stream. */
  cut(): void {
    for (const { response } of this.#sessions.values()) response.destroy();
    this.#sessions.clear();
  }

  #message(room: string, offset: number): ServerFrame & { readonly type: 'message' } {
    return { type: 'message', room, text: this.#log.get(room)?.[offset - 1] as string, ...(room.startsWith('live') ? {} : { position: `e:${offset}` }) };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { searchParams } = new URL(request.url as string, 'http://x');
    const session = searchParams.get('session');
    if (request.headers.accept === 'text/event-stream') return this.#stream(response);
    // A 426 would have a header that strict clients of HTTP/2 take for the end of the request.
    if (request.method === 'GET' && searchParams.get('poll') !== '0') return void request.socket.destroy();
    if (request.method === 'GET') return json(response, 400, { error: 'bad_room' });
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as ClientFrame[] | Publish | Question;
    if (Array.isArray(body)) return this.#uplink(response, session, body);
    if ('type' in body) return this.#published(response, body);
    return this.#poll(response, body);
  }

  #published(response: ServerResponse, { room, text, data }: Publish): void {
    this.asked.push('publish');
    json(response, 202, { room, position: this.publish(room, text ?? JSON.stringify(data)) });
  }

  #stream(response: ServerResponse): void {
    this.asked.push('sse');
    if (this.isBuffering) return;
    const session = crypto.randomUUID();
    this.#sessions.set(session, { response, rooms: new Set() });
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    write(response, { type: 'welcome', session });
  }

  #uplink(response: ServerResponse, id: string | null, frames: ClientFrame[]): void {
    const session = this.#sessions.get(id as string);
    const refusal = this.refusals.shift() ?? (session === undefined ? 404 : undefined);
    if (refusal !== undefined) return json(response, refusal, { error: 'why' }, { 'Retry-After': '0' });
    this.lists.push(frames);
    json(response, 202, {});
    for (const frame of frames) this.#frame(session as NonNullable<typeof session>, frame);
  }

  #frame({ response, rooms }: { readonly response: ServerResponse; readonly rooms: Set<string> }, frame: ClientFrame): void {
    if (frame.type === 'ping') write(response, { type: 'pong' });
    if (frame.type === 'publish') {
      const position = this.publish(frame.room, frame.text ?? JSON.stringify(frame.data));
      write(response, { type: 'published', room: frame.room, ref: frame.ref, position });
    }
    if (frame.type !== 'join') return;
    const { room, ref, since, last = 0 } = frame;
    const end = this.#log.get(room)?.length ?? 0;
    const from = since === undefined ? Math.max(0, end - last) : Number(since.slice(2));
    write(response, {
      type: 'joined',
      room,
      ref,
      ...(room.startsWith('live') ? {} : { position: `e:${from}` }),
      ...(since === undefined ? {} : { recovered: true }),
    });
    for (let offset = from + 1; offset <= end; offset += 1) write(response, this.#message(room, offset));
    rooms.add(room);
  }

  async #poll(response: ServerResponse, { rooms, since, last, poll }: Question): Promise<void> {
    this.asked.push('poll');
    this.polled = rooms;
    await this.polls;
    if (rooms.some((room) => room.startsWith('live'))) return json(response, 400, { error: 'no_history' });
    const known = (typeof since === 'string' ? JSON.parse(atob(since)) : (since ?? {})) as Record<string, string>;
    const end = (room: string): number => this.#log.get(room)?.length ?? 0;
    const from = new Map(rooms.map((room) => [room, room in known ? Number(known[room]?.slice(2)) : Math.max(0, end(room) - (last ?? 0))]));
    const isNews = (): boolean => rooms.some((room) => end(room) > (from.get(room) as number));
    if (poll > 0 && !isNews()) await this.#news(response, isNews, poll);
    const messages = rooms.flatMap((room) =>
      Array.from({ length: end(room) - (from.get(room) as number) }, (_, n) => this.#message(room, (from.get(room) as number) + n + 1)),
    );
    const cursor = btoa(JSON.stringify(Object.fromEntries(rooms.map((room) => [room, `e:${end(room)}`]))));
    json(response, 200, { messages, cursor, recovered: true });
  }

  async #news(response: ServerResponse, isNews: () => boolean, seconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (): void => {
      if (isNews()) resolve();
    };
    this.#waiting.add(look);
    response.on('close', resolve);
    const timer = setTimeout(resolve, seconds * 1000);
    await promise;
    clearTimeout(timer);
    this.#waiting.delete(look);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function write(response: ServerResponse, frame: ServerFrame): void {
  // A reconnect has an event of its own.
  const { type, ...rest } = frame;
  response.write(
    type === 'reconnect' || type === 'gap' ? `event: ${type}\ndata: ${JSON.stringify(rest)}\n\n` : `data: ${JSON.stringify(frame)}\n\n: comment\n`,
  );
}

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body));
}
