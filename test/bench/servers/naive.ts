/**
 * The room server that an ordinary developer writes on `ws` and ioredis: a Set of sockets per room, a `send` per socket and message.
 * `node naive.ts <port> <redis port>`; clients of `/room/<room>` get what is published on `busgate:room:<room>`.
 */
import { createServer } from 'node:http';
import { Redis } from 'ioredis';
import { WebSocket, WebSocketServer } from 'ws';

const [port, redisPort] = process.argv.slice(2).map(Number);
const prefix = 'busgate:room:';
const rooms = new Map<string, Set<WebSocket>>();
const redis = new Redis({ port: redisPort ?? 6379 });

redis.on('message', (channel: string, message: string) => {
  for (const socket of rooms.get(channel.slice(prefix.length)) ?? []) {
    if (socket.readyState === WebSocket.OPEN) socket.send(message);
  }
});

async function join(room: string, socket: WebSocket): Promise<void> {
  const members = rooms.get(room);
  if (members) {
    members.add(socket);
    return;
  }
  rooms.set(room, new Set([socket]));
  await redis.subscribe(prefix + room);
}

async function leave(room: string, socket: WebSocket): Promise<void> {
  const members = rooms.get(room);
  members?.delete(socket);
  if (members?.size !== 0) return;
  rooms.delete(room);
  await redis.unsubscribe(prefix + room);
}

const server = createServer((_request, response) => response.writeHead(404).end());
const sockets = new WebSocketServer({ server });

sockets.on('connection', (socket, request) => {
  const room = decodeURIComponent((request.url ?? '').slice('/room/'.length));
  socket.on('error', console.error);
  socket.on('close', () => void leave(room, socket));
  void join(room, socket);
});

server.listen(port, '127.0.0.1', () => console.log('ready'));
