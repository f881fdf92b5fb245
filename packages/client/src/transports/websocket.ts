import type { ServerFrame } from '../frames.ts';
import type { Link, LinkEvents, Target, WebSocketConstructor } from './transport.ts';

const PROTOCOL = 'busgate.v1';
/** A browser lets a page say nothing else with the handshake. */
const TOKEN_PROTOCOL = 'busgate.token.';

/** Throws where the browser will not have such a socket at all. */
export function openWebSocket({ url, token, WebSocket }: Target, events: LinkEvents): Link {
  const address = new URL(url);
  address.protocol = url.protocol.replace('http', 'ws');
  const socket = new (WebSocket as WebSocketConstructor)(address.href, token === undefined ? [PROTOCOL] : [PROTOCOL, TOKEN_PROTOCOL + token]);
  socket.onmessage = ({ data }) => {
    if (typeof data === 'string') events.frame(JSON.parse(data) as ServerFrame);
  };
  socket.onclose = ({ code }) => events.ended({ code });
  socket.onerror = ignore;
  return {
    get buffered() {
      return socket.bufferedAmount;
    },
    send: (frames) => {
      for (const frame of frames) socket.send(JSON.stringify(frame));
    },
    close: () => {
      socket.onmessage = socket.onclose = null;
      socket.close(1000);
    },
  };
}

/** The close that follows says as much. */
function ignore(): void {}
