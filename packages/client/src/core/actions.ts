import type { ClientFrame, MessageFrame } from '../frames.ts';
import type { TransportName } from '../transports/transport.ts';

/** connecting: an attempt is under way; open: frames flow; waiting: until the next attempt; closed: for ever. */
export type BusState = 'connecting' | 'open' | 'waiting' | 'closed';

/** joining: asked for, or about to be; joined: its messages come; left: none come any more. */
export type RoomState = 'joining' | 'joined' | 'left';

export interface BusStateDetail {
  /** What frames go over now, or would. */
  readonly transport: TransportName;
  /** waiting: milliseconds until the next attempt; none while the page is put away. */
  readonly after?: number | undefined;
  /** closed: why. */
  readonly code?: string | undefined;
}

export interface Gap {
  /** Milliseconds after which the room's state is best fetched again: all clients together are spread over them. */
  readonly after: number;
  /** How many messages this client was too slow for, where the gateway says so. */
  readonly missed?: number | undefined;
}

/** What the core asks of the world around it. */
export interface Host {
  /** Ask for a token, and answer with {@link Core.token}. */
  token(link: number): void;
  /** Open a link, and tell the core what comes of it. */
  open(link: number, transport: TransportName, token: string | undefined): void;
  send(link: number, frames: readonly ClientFrame[]): void;
  close(link: number): void;
  /** Find out by a request why a WebSocket was refused, and answer with {@link Core.probed} in any case. */
  probe(id: number, token: string | undefined): void;
  state(state: BusState, detail: BusStateDetail): void;
  room(room: string, state: RoomState, code?: string): void;
  message(frame: MessageFrame): void;
  gap(room: string, gap: Gap): void;
}

/** A call to the host, to be made later. */
export type Action = { [Name in keyof Host]: readonly [Name, ...Parameters<Host[Name]>] }[keyof Host];

export type Emit = (...action: Action) => void;

/** What the core perceives beside its inputs. */
export interface Senses {
  /** Milliseconds, never going back. */
  now(): number;
  /** 0 to 1, below 1. */
  random(): number;
  /** Bytes that a link has taken and not sent. */
  buffered(link: number): number;
}
