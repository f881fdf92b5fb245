import { readFileSync } from 'node:fs';
import { Consumer, type Data, http, RejectConnection, router } from '@busgate/consumer';

const page = readFileSync(new URL('chat.html', import.meta.url));

/** One object for each socket. */
class Chat extends Consumer<{ room: string }> {
  override async connect(): Promise<void> {
    if (!/^[a-z0-9-]{1,40}$/.test(this.params.room)) throw new RejectConnection(404, 'no such room\n');
    await this.accept();
    // From here on the gateway sends this client what is published to the room, by whomever; the newest messages first.
    await this.socket.rooms.join(`chat.${this.params.room}`, { last: 20 });
  }

  override async receive(message: Data): Promise<void> {
    if (typeof message !== 'string' || message.length > 500) return this.close(1008, 'a message is text of at most 500 characters');
    await this.socket.rooms.publish(`chat.${this.params.room}`, message);
  }
}

export default router({
  '/chat/:room': [Chat, http(() => new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } }))],
});
