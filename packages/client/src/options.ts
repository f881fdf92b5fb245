import type { HeartbeatOptions } from './core/link-state.ts';
import { type Target, TRANSPORTS, type TransportName, type WebSocketConstructor } from './transports/transport.ts';

/** A poll waits no longer at the gateway, in milliseconds, and less where the heartbeat is quicker. */
const MAX_POLL_MS = 25_000;
const POLL_SHARE = 0.8;

export interface ConnectOptions {
  /** Says who this is: a token, or what fetches one whenever the gateway wants another. Without it cookies do, where the gateway reads them. */
  readonly token?: string | (() => string | Promise<string>);
  /** Which transports may be used, the best first: `['websocket', 'sse', 'poll']`. */
  readonly transports?: readonly TransportName[];
  /** A silent link is asked after `every` milliseconds (30,000), and is dead after `timeout` (35,000). */
  readonly heartbeat?: Partial<HeartbeatOptions>;
  /** Bytes that publishes may hold on the wire, and as many while they wait for it: 1 MiB. Beyond that they reject with `full`. */
  readonly buffer?: number;
  /** Whether requests to another origin carry cookies: `same-origin`, as for `fetch`. WebSockets always carry them. */
  readonly credentials?: 'include' | 'omit' | 'same-origin';
  /** For programs without a global WebSocket (Node 20): the one of `ws`, for example. */
  readonly WebSocket?: WebSocketConstructor;
}

export type Settings = ReturnType<typeof settingsOf>;

/** Throws a TypeError for what cannot be meant. A path alone is one of the page's own origin. */
export function settingsOf(url: string | URL, options: ConnectOptions) {
  const address = new URL(url, (globalThis as { location?: { href: string } }).location?.href);
  address.protocol = address.protocol.replace('ws', 'http');
  const WebSocket = options.WebSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
  const transports = (options.transports ?? TRANSPORTS).filter((name) => TRANSPORTS.includes(name) && (WebSocket ?? name !== 'websocket'));
  const heartbeat = { every: 30_000, timeout: 35_000, ...options.heartbeat };
  const { buffer = 1_048_576 } = options;
  const isMeant = heartbeat.every > 0 && heartbeat.timeout > heartbeat.every && buffer > 0;
  if (!address.protocol.startsWith('http') || !transports[0] || !isMeant) throw new TypeError('url, transports, heartbeat or buffer');
  return { credentials: 'same-origin' as const, ...options, buffer, url: address, WebSocket, transports, heartbeat };
}

/** What opening a link takes. */
export function targetOf(settings: Settings, token?: string): Target {
  return { ...settings, token, pollSeconds: Math.ceil(Math.min(MAX_POLL_MS, settings.heartbeat.every * POLL_SHARE) / 1000) };
}
