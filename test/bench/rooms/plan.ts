import { Emitter } from '@socket.io/redis-emitter';

/** What a server speaks on its WebSockets: each frame a message, or Socket.IO's packets. */
export type Wire = 'frames' | 'socketio';

/** Bytes of a data frame around the message. */
export const around: Readonly<Record<Wire, { before: number; after: number }>> = {
  frames: { before: 0, after: 0 },
  socketio: { before: '42["message","'.length, after: '"]'.length },
};

/** Stands for the message, which the load writes in its place. */
const MESSAGE = '~'.repeat(128);

/** How the load enters the rooms and publishes to them: a line per room, as `native/plan.h` reads it. */
export function writePlan(wire: Wire, rooms: number): string {
  const line = wire === 'frames' ? framesLine : socketioLine;
  return Array.from({ length: rooms }, (_, room) => `${line(`${room}`)}\n`).join('');
}

function framesLine(room: string): string {
  return [`/room/${room}`, '', `busgate:room:${room}`, Buffer.from(MESSAGE).toString('hex')].join('\t');
}

/** What Socket.IO's own emitter publishes for this room. */
function socketioLine(room: string): string {
  const published: string[] = [];
  const record = { publish: (channel: string, payload: Uint8Array) => published.push(channel, Buffer.from(payload).toString('hex')) };
  new Emitter(record).to(room).emit('message', MESSAGE);
  return ['/socket.io/?EIO=4&transport=websocket', `420["join","${room}"]`, ...published].join('\t');
}
