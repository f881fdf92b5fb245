import type { LayerStatus } from '@busgate/layer';

/**
 * What gateways of a fleet ask each other, and what they answer. All of it is JSON, and what is asked may come from a gateway of another version: members are added, and
 * never given another meaning.
 */
export interface FleetCalls {
  /** What it is and how it is. */
  readonly gateway: { readonly asked: Nothing; readonly answer: GatewayFacts };
  /** A part of the rooms that it has members of, by name. */
  readonly rooms: { readonly asked: RoomsAsked; readonly answer: RoomsPart };
  readonly room: { readonly asked: { readonly room: string }; readonly answer: RoomFacts };
  /** How many of its sessions are meant. */
  readonly count: { readonly asked: SessionsAsked; readonly answer: number };
  /** A part of its sessions, the oldest first. */
  readonly sessions: { readonly asked: SessionsAsked & Part<number>; readonly answer: SessionsPart };
  readonly session: { readonly asked: { readonly session: string }; readonly answer: SessionFacts | null };
  /** Ends a session with a code. False where there is none. */
  readonly close: { readonly asked: { readonly session: string; readonly code: number }; readonly answer: boolean };
}

export type FleetCall = keyof FleetCalls;

type Nothing = Readonly<Record<string, never>>;

/** A part of a list: at most `limit` of those that follow `after`. */
interface Part<T> {
  readonly after?: T;
  readonly limit: number;
}

interface RoomsAsked extends Part<string> {
  /** A pattern by levels, as those of histories. */
  readonly match?: string;
}

interface RoomsPart {
  readonly rooms: readonly (RoomFacts & { readonly room: string })[];
  /** More follow. */
  readonly more: boolean;
}

export interface SessionsAsked {
  readonly user?: string;
  readonly address?: string;
  readonly room?: string;
  /** Only those that began after the one with this number. */
  readonly after?: number;
}

interface SessionsPart {
  readonly sessions: readonly SessionFacts[];
  /** Where the next part begins; absent where none does. */
  readonly next?: number;
}

/** A gateway, at this moment. */
export interface GatewayFacts {
  readonly gateway: string;
  readonly version: string;
  /** Seconds. */
  readonly uptime: number;
  readonly sessions: number;
  readonly rooms: number;
  readonly draining: boolean;
  readonly layer: LayerFacts;
  /** What its last heartbeat took through the broker and back, in seconds; null before the first. */
  readonly heartbeat_delay: number | null;
}

export interface LayerFacts {
  readonly state: 'connected' | 'away' | 'closed';
  /** RFC 3339. */
  readonly since: string;
  readonly reason?: string;
  readonly partitioned: boolean;
}

export function layerFacts({ state, since, reason, partitioned }: LayerStatus): LayerFacts {
  return { state, since: since.toISOString(), ...(reason === undefined ? {} : { reason }), partitioned: partitioned === true };
}

/** A room in one gateway. */
export interface RoomFacts {
  readonly members: number;
  /** When the broker last proved the subscription, RFC 3339; null where there is none. */
  readonly subscribed_at: string | null;
  /** Of the last message, where the room has a history. */
  readonly position: string | null;
  /** Deliveries that never reached the kernel, by reason. */
  readonly drops: Readonly<Record<string, number>>;
}

/** A session, wherever in the fleet. */
export interface SessionFacts {
  readonly id: string;
  readonly gateway: string;
  readonly identity: { readonly user: string | null };
  /** Of the client; null while the session has no link. */
  readonly address: string | null;
  readonly transport: string;
  /** Its path, as the settings say it. */
  readonly route: string;
  readonly rooms: readonly string[];
  /** Bytes that wait for the client. */
  readonly queued_bytes: number;
  /** Seconds. */
  readonly age: number;
}

/** Answers for one gateway. Rejects where it cannot. */
export type Answering = <C extends FleetCall>(call: C, asked: FleetCalls[C]['asked']) => Promise<FleetCalls[C]['answer']>;
