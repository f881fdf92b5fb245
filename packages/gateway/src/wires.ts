import type { Config } from './config.ts';
import type { RouteConfig } from './config/route-settings.ts';
import type { SessionTransport } from './counters.ts';
import type { Inbound } from './inbound.ts';
import { MultiplexRoute } from './routes/multiplex.ts';
import { RoomRoute } from './routes/room.ts';
import type { Route } from './routes/route.ts';
import type { SessionTimes } from './session/registry.ts';
import type { ReadTurns } from './transports/read-turns.ts';
import { EventStreamTransport } from './transports/sse.ts';
import type { Transport } from './transports/transport.ts';
import { WebSocketTransport } from './transports/websocket.ts';

/** A stream on which nothing comes is given a sign of life this often: proxies end silent connections after 30 s and more. */
const STREAM_SILENCE_MS = 15_000;

/** In what ways the sessions of a route reach their clients, the one that is wanted first where a request asks for several. */
export function wiresOf(route: Route, { limits, rate }: Config, inbound: Inbound, turns: ReadTurns): readonly Transport[] {
  return [new WebSocketTransport({ message: route.messageLimit, fragments: limits.fragments, rates: rate }, inbound, turns), ...streamsOf(route)];
}

/** How long sessions may be silent, by their wire. */
export function timesOfSessions({ heartbeat, limits }: Config): Readonly<Record<SessionTransport, SessionTimes>> {
  const websocket = { ...heartbeat, message: limits.messageTime };
  return { websocket, sse: { ...websocket, interval: Math.min(STREAM_SILENCE_MS, heartbeat.interval) } };
}

/** In which a route counts time, in milliseconds. */
export function timesOf(route: RouteConfig): number[] {
  if (route.kind === 'events') return [route.acceptTimeout, route.handlerTimeout, route.resumeTimeout];
  return route.kind === 'consumer' ? [route.acceptTimeout, route.handlerTimeout] : [];
}

function streamsOf(route: Route): readonly Transport[] {
  if (route instanceof RoomRoute) return [new EventStreamTransport('exact')];
  return route instanceof MultiplexRoute ? [new EventStreamTransport('json')] : [];
}
