import type { Openers } from './transport.ts';
import { openWebSocket } from './websocket.ts';

/** Most pages never need another one than the first: what the others take is loaded when they are tried. */
export const OPENERS: Openers = {
  websocket: () => openWebSocket,
  sse: async () => (await import('./sse.ts')).openSse,
  poll: async () => (await import('./poll.ts')).openPoll,
};
