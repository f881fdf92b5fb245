import { ERRORS, type HttpErrorKey } from './errors.ts';
import { LayerCalls } from './metrics/layer-calls.ts';
import { Returns } from './returns.ts';

/** The wires that carry sessions. */
const SESSION_TRANSPORTS = ['websocket', 'sse', 'stream'] as const;
export type SessionTransport = (typeof SESSION_TRANSPORTS)[number];

/** What carries a session or a request, `ops` one of the ops API; the values of the label `transport`. */
const TRANSPORTS = [...SESSION_TRANSPORTS, 'http', 'ops'] as const;
/** What clients stay on: sessions, and polls that wait. */
const STAYS = [...SESSION_TRANSPORTS, 'poll'] as const;
type StayName = (typeof STAYS)[number];
export type TransportName = (typeof TRANSPORTS)[number];

/** What the settings call the kinds of routes; the values of the label `kind`. */
const ROUTE_KINDS = ['room', 'multiplex', 'events', 'consumer'] as const;
export type RouteKind = (typeof ROUTE_KINDS)[number];

/**
 * Why a delivery that was due never reached the kernel.
 * - `closed`: the session ended first.
 * - `slow`: the session was closed for passing `limits.outbox`, or for 10 s without reading.
 * - `total`: all sessions together passed `limits.outbox_total`, and this was the slowest.
 * - `memory`: memory was at `limits.memory`, and this was the slowest.
 * - `backlog`: the room's unsent bytes passed `limits.room_backlog`.
 * - `missed`: the session read too slowly for a lossy room.
 */
export type DropReason = 'closed' | 'slow' | 'total' | 'memory' | 'backlog' | 'missed';

/**
 * Why a client's publish was not taken by the layer.
 * - `away`: the layer could not be reached; nothing was sent.
 * - `unknown`: the connection broke before the broker's answer; it may have taken effect.
 * - `not_allowed`: the route does not let clients publish.
 * - `full`: memory is at `limits.memory`.
 * - `rate`: the session publishes more often than `rate.publishes` says.
 * - `refused`: the layer refused it for another reason, such as its size.
 */
export type PublishFailure = 'away' | 'unknown' | 'not_allowed' | 'full' | 'rate' | 'refused';

/** Plain numbers that the hot path adds to and a scrape reads. They only grow. */
export interface Counters {
  /** Sessions opened, and polls that had to wait. */
  readonly opened: Record<StayName, number>;
  /** The same, by the kind of their route. */
  readonly openedOn: Record<RouteKind, number>;
  /** Requests and upgrades refused, by error code. */
  readonly refused: Record<HttpErrorKey, number>;
  /** Of them, those who were told to come back. */
  readonly returns: Returns;
  /** What calls of the layer take. */
  readonly layerCalls: LayerCalls;
  /** Sessions ended, by {@link closeLabel}. */
  readonly closes: Map<string, number>;
  /** Messages that clients sent to be published. */
  readonly received: Record<TransportName, number>;
  /** Their payload bytes. */
  readonly receivedBytes: Record<TransportName, number>;
  /** Publishes that the layer took. */
  published: number;
  readonly publishFailures: Record<PublishFailure, number>;
  /** Message x local members of its room, counted at the flush. */
  due: number;
  /** Deliveries handed to the kernel. */
  sent: number;
  readonly dropped: Record<DropReason, number>;
  /** Payload and framing bytes written to sessions. */
  sentBytes: number;
  /** Error frames sent on `/socket`. */
  errorFrames: number;
}

/** What a scrape asks the gateway: the state of this moment. */
export interface GatewayState {
  /** Brings `sent` and `queued` up to date with what the kernel has taken; called once before everything else is read. */
  settle(): void;
  readonly sessions: Readonly<Record<StayName, number>>;
  /** Deliveries due that are neither sent nor dropped. */
  readonly queued: number;
  /** Bytes not yet handed to the kernel, all sessions together. */
  readonly outboxBytes: number;
  /** What clients have begun and not finished, with what holds it, in bytes. */
  readonly inboundBytes: number;
  /** What counts towards `limits.memory`, in bytes. */
  readonly memoryUsed: number;
  /** Rooms with a member in this process. */
  readonly rooms: number;
  /** Bytes that clients were given of histories, ever, and how many wait for some. */
  readonly replays: { readonly bytes: number; readonly waiting: number };
  readonly draining: boolean;
}

/** A count for each wire that carries sessions, all 0. */
export function perSessionTransport(): Record<SessionTransport, number> {
  return zeros(SESSION_TRANSPORTS);
}

export function createCounters(): Counters {
  const refused = Object.fromEntries(Object.entries(ERRORS).flatMap(([key, row]) => (row.status === undefined ? [] : [[key, 0]]))) as Record<
    HttpErrorKey,
    number
  >;
  return {
    opened: zeros(STAYS),
    openedOn: zeros(ROUTE_KINDS),
    refused,
    returns: new Returns(() => performance.now()),
    layerCalls: new LayerCalls(() => performance.now()),
    closes: new Map([...[...KNOWN_CLOSES].map(String), OTHER_CLOSE].map((label) => [label, 0])),
    received: zeros(TRANSPORTS),
    receivedBytes: zeros(TRANSPORTS),
    published: 0,
    publishFailures: { away: 0, unknown: 0, not_allowed: 0, full: 0, rate: 0, refused: 0 },
    due: 0,
    sent: 0,
    dropped: { closed: 0, slow: 0, total: 0, memory: 0, backlog: 0, missed: 0 },
    sentBytes: 0,
    errorFrames: 0,
  };
}

/** Close codes that have a meaning here or in RFC 6455; each is a label value of its own. */
const KNOWN_CLOSES: ReadonlySet<number> = new Set([
  1000,
  1005,
  1006,
  1010,
  ...Object.values(ERRORS).flatMap((row) => (row.close === undefined ? [] : [row.close])),
]);

const OTHER_CLOSE = 'other';

/** The label of a close code: codes that only a client may choose share one, so that no client can add a series. */
export function closeLabel(code: number): string {
  return KNOWN_CLOSES.has(code) ? String(code) : OTHER_CLOSE;
}

/** Counts a session's end. */
export function countClose(counters: Counters, code: number): void {
  const label = closeLabel(code);
  counters.closes.set(label, (counters.closes.get(label) ?? 0) + 1);
}

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}
