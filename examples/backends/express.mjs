// npm install express standardwebhooks; WEBHOOK_SECRET=whsec_… node express.mjs
import express from 'express';
import { Webhook } from 'standardwebhooks';

const webhook = new Webhook(process.env.WEBHOOK_SECRET);
const app = express();

// The signature is over the bytes as they came, so they are not parsed before it is checked.
app.post('/busgate', express.raw({ type: 'application/json' }), (request, response) => {
  let event;
  try {
    event = webhook.verify(request.body.toString(), request.headers);
  } catch {
    return response.sendStatus(401);
  }
  const replies = handle(event);
  if (replies.length === 0) return response.sendStatus(204);
  response.json({ replies });
});

/** Everybody on a path is in one room; what one says, all hear. */
function handle(event) {
  const room = event.params.rest || 'lobby';
  if (event.type === 'websocket.connect') return [{ type: 'websocket.accept' }, { type: 'room.join', room }];
  if (event.type === 'websocket.receive' && event.text !== undefined) return [{ type: 'room.publish', room, text: event.text }];
  return [];
}

const server = app.listen(Number(process.env.PORT ?? 3000), () => console.log(`listening on ${server.address().port}`));
