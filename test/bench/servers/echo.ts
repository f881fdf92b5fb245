/**
 * What an ordinary developer writes on `ws` alone, with no bus and no second process: each message goes back to its sender, and on `/all` to everybody there.
 * `node echo.ts <port>`
 */
import { WebSocketServer } from 'ws';

const [port] = process.argv.slice(2).map(Number);
const server = new WebSocketServer({ host: '127.0.0.1', port: port ?? 0 });

server.on('connection', (socket, request) => {
  socket.on('error', console.error);
  socket.on('message', (data, isBinary) => {
    for (const one of request.url === '/all' ? server.clients : [socket]) one.send(data, { binary: isBinary });
  });
});
server.on('listening', () => console.log('ready'));
