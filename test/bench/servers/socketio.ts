/**
 * Socket.IO 4 with its Redis adapter, as its documentation sets it up: clients join a room by an acknowledged event, messages come from
 * `@socket.io/redis-emitter` as the event `message`.
 * `node socketio.ts <port> <redis port>`
 */
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';

const [port, redisPort] = process.argv.slice(2).map(Number);
const publisher = new Redis({ port: redisPort ?? 6379 });
const server = createServer();
const io = new Server(server, { adapter: createAdapter(publisher, publisher.duplicate()) });

io.on('connection', (socket) => {
  socket.on('join', async (room: string, joined: () => void) => {
    await socket.join(room);
    joined();
  });
});

server.listen(port, '127.0.0.1', () => console.log('ready'));
