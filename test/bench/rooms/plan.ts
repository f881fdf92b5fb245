import { Emitter } from '@socket.io/redis-emitter';

/** What a server speaks on its WebSockets: each frame a message, Busgate's frames of `/socket`, or Socket.IO's packets. */
export type Wire = 'frames' | 'multiplex' | 'socketio';

/** How a message gets into a room: `PUBLISH`, or appended to the room's history. */
export type Publishing = 'live' | 'history';

/** What the load is told of a server. */
export interface Plan {
  /** How clients enter the rooms and what publishes to them: a line per room, as `native/plan.h` reads it. */
  readonly text: string;
  /** Bytes of a data frame around the message. */
  readonly before: number;
  readonly after: number;
}

/** Stands for the message, which the load writes in its place. */
const MESSAGE = '~'.repeat(128);

/** How one client enters a room, and what is published for it to get `before`, the message, and `after`. */
interface Entry {
  readonly target: string;
  /** What it says first, where the target does not say it all. */
  readonly hello: string;
  readonly command: readonly (string | Uint8Array)[];
}

/** All rooms have names of one length, so that all frames have. */
export function planOf(wire: Wire, publishing: Publishing, rooms: number): Plan {
  const width = `${rooms - 1}`.length;
  const names = Array.from({ length: rooms }, (_, room) => `${room}`.padStart(width, '0'));
  const text = names.map((room) => `${lineOf(entries[wire](room, publishing))}\n`).join('');
  return { text, ...around[wire]('0'.repeat(width)) };
}

const around: Readonly<Record<Wire, (room: string) => { before: number; after: number }>> = {
  frames: () => ({ before: 0, after: 0 }),
  multiplex: (room) => ({ before: `{"type":"message","room":"${room}","data":"`.length, after: '"}'.length }),
  socketio: () => ({ before: '42["message","'.length, after: '"]'.length }),
};

const entries: Readonly<Record<Wire, (room: string, publishing: Publishing) => Entry>> = {
  frames: (room, publishing) => ({ target: `/room/${room}`, hello: '', command: publish(room, MESSAGE, publishing) }),
  multiplex: (room, publishing) => ({
    target: '/socket',
    hello: JSON.stringify({ type: 'join', room }),
    command: publish(room, JSON.stringify(MESSAGE), publishing),
  }),
  socketio: (room) => ({ target: '/socket.io/?EIO=4&transport=websocket', hello: `420["join","${room}"]`, command: emit(room) }),
};

function publish(room: string, payload: string, publishing: Publishing): readonly string[] {
  if (publishing === 'live') return ['PUBLISH', `busgate:room:${room}`, payload];
  return ['FCALL', 'busgate_publish', '1', `{busgate:room:${room}}:history`, payload];
}

/** What Socket.IO's own emitter publishes for this room. */
function emit(room: string): readonly (string | Uint8Array)[] {
  const published: (string | Uint8Array)[] = ['PUBLISH'];
  const record = { publish: (channel: string, payload: Uint8Array) => published.push(channel, payload) };
  new Emitter(record).to(room).emit('message', MESSAGE);
  return published;
}

function lineOf({ target, hello, command }: Entry): string {
  const parts = command.map((part) => Buffer.from(part as Uint8Array));
  const bytes = parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n')]);
  return [target, hello, Buffer.concat([Buffer.from(`*${parts.length}\r\n`), ...bytes]).toString('hex')].join('\t');
}
