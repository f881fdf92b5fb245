import { isTokenOffer } from './auth/credentials.ts';
import type { Config } from './config.ts';
import type { RouteConfig } from './config/route-settings.ts';
import type { SessionTransport } from './counters.ts';
import type { Inbound } from './inbound.ts';
import { EventsRoute } from './routes/events.ts';
import { MultiplexRoute } from './routes/multiplex.ts';
import { RoomRoute } from './routes/room.ts';
import type { Route } from './routes/route.ts';
import type { SessionTimes } from './session/registry.ts';
import type { ReadTurns } from './transports/read-turns.ts';
import { LINE_STREAM } from './transports/ndjson.ts';
import { EVENT_STREAM } from './transports/sse.ts';
import { StreamTransport } from './transports/stream/transport.ts';
import type { Transport } from './transports/transport.ts';
import { WebSocketTransport } from './transports/websocket.ts';

/** A stream on which nothing comes is given a sign of life this often: proxies end silent connections after 30 s and more. */
const STREAM_SILENCE_MS = 15_000;
/** The wheel of deadlines turns this often, or four times in the shortest of its times; and not more often than that. */
const MAX_TICK_MS = 1000;
const MIN_TICK_MS = 20;

/** In what ways the sessions of a route reach their clients, the one that is wanted first where a request asks for several. */
export function wiresOf(route: Route, { limits, rate, auth }: Config, inbound: Inbound, turns: ReadTurns): readonly Transport[] {
  // Where somebody is asked who a client is, more than one token is no malformed request, but nobody's.
  const mayRepeat = auth.jwt === undefined && auth.http === undefined ? () => false : isTokenOffer;
  return [new WebSocketTransport({ message: route.messageLimit, fragments: limits.fragments, rates: rate, mayRepeat }, inbound, turns), ...streamsOf(route)];
}

/** How long sessions may be silent, by their wire. */
export function timesOfSessions({ heartbeat, limits }: Config): Readonly<Record<SessionTransport, SessionTimes>> {
  const websocket = { ...heartbeat, message: limits.messageTime };
  const stream = { ...websocket, interval: Math.min(STREAM_SILENCE_MS, heartbeat.interval) };
  return { websocket, sse: stream, stream };
}

/** How finely time is to be counted, in milliseconds. */
export function tickOf({ heartbeat, limits, auth, routes }: Config): number {
  const times = [heartbeat.interval, heartbeat.timeout, limits.messageTime, auth.grace || MAX_TICK_MS, ...routes.flatMap(timesOf)];
  return Math.max(MIN_TICK_MS, Math.min(MAX_TICK_MS, Math.min(...times) / 4));
}

/** In which a route counts time, in milliseconds. */
function timesOf(route: RouteConfig): number[] {
  if (route.kind === 'events') return [route.acceptTimeout, route.handlerTimeout, route.resumeTimeout];
  return route.kind === 'consumer' ? [route.acceptTimeout, route.handlerTimeout] : [];
}

function streamsOf(route: Route): readonly Transport[] {
  // Where plain requests go to workers, one that asks for a stream does too: theirs may stream by themselves.
  if (route.serving !== undefined) return [];
  const content = route instanceof MultiplexRoute ? 'json' : route instanceof RoomRoute || route instanceof EventsRoute ? 'exact' : undefined;
  if (content === undefined) return [];
  return [EVENT_STREAM, LINE_STREAM].map((wire) => new StreamTransport(wire, content));
}
