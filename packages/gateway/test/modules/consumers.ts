import { CloseConnection, Consumer, consumer, type Data, handlers, http, RejectConnection, router } from '@busgate/consumer';
import type { Message } from '@busgate/layer';

/** What handlers tell the test, by the session's name; a test waits for it. */
export const told: string[] = [];

const echo = consumer(async (socket) => {
  for await (const message of socket) await socket.send(message);
});

class Chat extends Consumer<{ room: string }> {
  static override handlers = { 'chat.message': 'onChat' };

  override async connect(): Promise<void> {
    await this.groups.add(`chat.${this.params.room}`);
    await this.accept();
  }

  override async receive(message: Data): Promise<void> {
    await this.groups.send(`chat.${this.params.room}`, { type: 'chat.message', text: message });
  }

  async onChat(event: Message): Promise<void> {
    await this.send(event['text'] as string);
  }

  override disconnect(code: number, reason: string): void {
    told.push(`${this.params.room} left with ${code} ${reason}`);
  }
}

const counting = handlers({
  receive: async (socket) => {
    const count = ((socket.state as number | null) ?? 0) + 1;
    await socket.setState(count);
    await socket.send(String(count));
  },
  disconnect: ({ code, state }) => void told.push(`counted ${String(state as number)}, ${code}`),
});

/** Changes what is on the session, and does not say so. */
const forgetful = handlers({
  connect: async (socket) => {
    await socket.accept();
    await socket.setState({ seen: [] });
  },
  receive: async (socket, message) => {
    const { seen } = socket.state as { seen: string[] };
    seen.push(String(message));
    await socket.send(seen.join());
  },
});

const greeted = consumer(async (socket) => {
  await socket.accept({ subprotocol: 'v2', headers: [['set-cookie', 'a=b']] });
  await socket.send(`${socket.request.path} ${socket.request.query.get('x')} ${socket.request.headers.get('x-a')} ${String(socket.params['rest'])}`);
  await socket.receive();
  throw new CloseConnection(4100, 'enough');
});

const failing = consumer(async (socket) => {
  const message = await socket.receive();
  throw new Error(`cannot take ${String(message)}`);
});

const refusing = consumer(() => {
  throw new RejectConnection(402, 'pay first\n');
});

/** Takes what waits only when it is told to. */
const slow = consumer(async (socket) => {
  await socket.receive();
  await socket.send('begun');
  let most = 0;
  while ((await socket.receive()) !== 'last') {
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, socket.pendingMessages);
  }
  await socket.send(`at most ${most}`);
});

/** Sends as much as it is asked for, piece by piece, as fast as it may. */
const flood = consumer(async (socket) => {
  const pieces = Number(await socket.receive());
  const piece = new Uint8Array(65_536);
  for (let index = 0; index < pieces; index += 1) {
    piece.fill(index);
    await socket.send(piece);
  }
  told.push('flooded');
});

const busy = consumer(async (socket) => {
  for await (const message of socket) {
    const end = performance.now() + Number(message);
    while (performance.now() < end);
    await socket.send('done');
  }
});

const room = consumer(async (socket) => {
  await socket.rooms.join('news');
  for await (const message of socket) await socket.rooms.publish('news', message);
});

const pages = http(async (request) => {
  const url = new URL(request.url);
  if (url.searchParams.has('fail')) throw new Error('no page');
  const text = `${request.method} ${url.searchParams.get('message')} ${await request.text()}`;
  return new Response(text, { status: 201, headers: { 'x-b': '1' } });
});

/** Pieces until the client goes, or, where the query says so, until it fails. */
const stream = http((request) => {
  const isFailing = new URL(request.url).searchParams.has('fail');
  request.signal.addEventListener('abort', () => void told.push('the reader left'));
  let pieces = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      pieces += 1;
      if (isFailing && pieces === 3) throw new Error('broken in the middle');
      controller.enqueue(new Uint8Array(65_536).fill(pieces));
    },
    cancel: () => void told.push(`stopped after ${pieces}`),
  });
  return new Response(body);
});

/** What the query asks for, that no gateway could send. */
const odd = http((request) => {
  if (new URL(request.url).searchParams.has('error')) return Response.error();
  return new Response(ReadableStream.from(['no bytes']) as unknown as ReadableStream<Uint8Array<ArrayBuffer>>);
});

export default router({
  '/app/echo': [echo, pages],
  '/app/chat/:room': Chat,
  '/app/counting': counting,
  '/app/forgetful': forgetful,
  '/app/greeted/*': greeted,
  '/app/failing': failing,
  '/app/refusing': refusing,
  '/app/slow': slow,
  '/app/flood': flood,
  '/app/busy': busy,
  '/app/room': room,
  '/app/stream': stream,
  '/app/odd': odd,
});
