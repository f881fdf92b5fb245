import type { LinkEnd } from '../core/policy.ts';
import type { ClientFrame, ServerFrame } from '../frames.ts';

/** Best first. */
export const TRANSPORTS = ['websocket', 'sse', 'poll'] as const;
export type TransportName = (typeof TRANSPORTS)[number];

/** What a link tells. Nothing is told after {@link ended}, nor after the link was closed. */
export interface LinkEvents {
  frame(frame: ServerFrame): void;
  /** Something came that is no frame: the link lives. */
  readonly heard: () => void;
  ended(end: LinkEnd): void;
}

/** A wire that speaks the frames of `/socket`. */
export interface Link {
  /** Bytes that were sent and have not left yet. */
  readonly buffered: number;
  send(frames: readonly ClientFrame[]): void;
  close(): void;
}

/** What is needed to open one. */
export interface Target {
  /** `http:` or `https:`. */
  readonly url: URL;
  readonly token: string | undefined;
  readonly credentials: 'include' | 'omit' | 'same-origin';
  readonly WebSocket: WebSocketConstructor | undefined;
  /** How long a poll may wait at the gateway, in seconds. */
  readonly pollSeconds: number;
}

/** Opens a link. Throws where there can be none at all. */
type Opener = (target: Target, events: LinkEvents) => Link;

/** How a link of each kind is opened. */
export type Openers = Readonly<Record<TransportName, () => Opener | Promise<Opener>>>;

/** What hears an event of a class that says more of it: only a method's parameter may be narrower there. */
type Hears<Event> = { hears(event: Event): void }['hears'] | null;

/** As much of the browser's WebSocket as is needed, which that of `ws` has as well. */
interface WebSocketLike {
  readonly bufferedAmount: number;
  onmessage: Hears<{ data: unknown }>;
  onclose: Hears<{ code: number }>;
  onerror: Hears<unknown>;
  send(data: string): void;
  close(code?: number): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;
