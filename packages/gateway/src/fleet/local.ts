import { type ChannelLayer, isName, matchesRooms } from '@busgate/layer';
import type { Hub } from '../hub.ts';
import type { HubRoom } from '../hub/room.ts';
import type { Sessions } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import {
  type Answering,
  type FleetCall,
  type FleetCalls,
  type GatewayFacts,
  layerFacts,
  type RoomFacts,
  type SessionFacts,
  type SessionsAsked,
} from './calls.ts';
import { countOf, firstOf } from './selection.ts';

/** Bytes of one answer, about: what others have to say needs room on the layer too. */
const ANSWER_BYTES = 512 * 1024;
const MOST = 1000;

export interface LocalOptions {
  readonly layer: Pick<ChannelLayer, 'process' | 'status' | 'stats'>;
  readonly hub: Hub;
  readonly sessions: Sessions;
  readonly version: string;
  readonly isDraining: () => boolean;
  /** Bytes of one message on the layer. */
  readonly layerMessage: number;
}

type Handlers = { readonly [C in FleetCall]: (asked: FleetCalls[C]['asked']) => FleetCalls[C]['answer'] | Promise<FleetCalls[C]['answer']> };

/** What this gateway answers to those of its fleet, itself among them. What they ask is checked: it comes from outside. */
export class LocalGateway {
  readonly #options: LocalOptions;
  readonly #handlers: Handlers = {
    gateway: () => this.#gateway(),
    rooms: (asked) => this.#rooms(asked),
    room: ({ room }) => this.#room(String(room)),
    count: (asked) => countOf(this.#candidates(asked), this.#isMeant(asked)),
    sessions: (asked) => this.#sessions(asked),
    session: ({ session }) => this.#session(String(session)),
    close: ({ session, code }) => this.#close(String(session), Number(code)),
  };

  constructor(options: LocalOptions) {
    this.#options = options;
  }

  /** Rejects for a call that it does not know. */
  readonly answer: Answering = async (call, asked) => {
    if (!Object.hasOwn(this.#handlers, call)) throw new TypeError(`this version knows no ${call}`);
    return await this.#handlers[call](asked);
  };

  #gateway(): GatewayFacts {
    const { layer, hub, sessions, version, isDraining } = this.#options;
    const { roundTrip } = layer.stats;
    return {
      gateway: layer.process,
      version,
      uptime: process.uptime(),
      sessions: sessions.size,
      rooms: hub.rooms,
      draining: isDraining(),
      layer: layerFacts(layer.status),
      heartbeat_delay: roundTrip === undefined ? null : roundTrip / 1000,
    };
  }

  async #rooms({ match, after, limit }: FleetCalls['rooms']['asked']): Promise<FleetCalls['rooms']['answer']> {
    const wanted = partOf(limit);
    const isMeant = (room: HubRoom): boolean => room.size > 0 && (match === undefined || matchesRooms(match, room.name));
    const found = await firstOf(this.#options.hub.held(), wanted + 1, { key: ({ name }) => name, after }, isMeant);
    const rooms = found.slice(0, wanted).map(({ name }) => ({ room: name, ...this.#room(name) }));
    const fitting = this.#fitting(rooms);
    return { rooms: fitting, more: fitting.length < found.length };
  }

  #room(name: string): RoomFacts {
    const { hub, layer } = this.#options;
    const room = hub.find(name);
    const provedAt = room?.subscribedAt === undefined ? undefined : Math.max(room.subscribedAt, layer.status.since.getTime());
    return {
      members: room?.size ?? 0,
      subscribed_at: provedAt === undefined || layer.status.state !== 'connected' ? null : new Date(provedAt).toISOString(),
      position: room?.position ?? null,
      drops: room?.drops ?? {},
    };
  }

  async #sessions(asked: FleetCalls['sessions']['asked']): Promise<FleetCalls['sessions']['answer']> {
    const wanted = partOf(asked.limit);
    const order = { key: ({ serial }: Session) => serial, after: asked.after };
    const found = await firstOf(this.#candidates(asked), wanted + 1, order, this.#isMeant(asked));
    const listed = found.slice(0, wanted).filter((session) => session.isOpen);
    const sessions = this.#fitting(listed.map((session) => this.#factsOf(session)));
    const isWhole = found.length <= wanted && sessions.length === listed.length;
    const next = sessions.length < listed.length ? listed[sessions.length - 1]?.serial : found[wanted - 1]?.serial;
    return { sessions, ...(isWhole || next === undefined ? {} : { next }) };
  }

  #session(id: string): SessionFacts | null {
    const session = this.#options.sessions.find(id);
    return session?.isOpen === true ? this.#factsOf(session) : null;
  }

  #close(id: string, code: number): boolean {
    const session = this.#options.sessions.find(id);
    if (session?.isOpen !== true) return false;
    session.close({ code, reason: '' });
    return true;
  }

  #candidates({ room }: SessionsAsked): readonly Session[] {
    if (room === undefined) return this.#options.sessions.all();
    return isName(room) ? (this.#options.hub.find(room)?.sessions() ?? []) : [];
  }

  #isMeant({ user, address, after }: SessionsAsked): (session: Session) => boolean {
    return (session) =>
      session.isOpen &&
      (after === undefined || session.serial > after) &&
      (user === undefined || session.identity.user === user) &&
      (address === undefined || session.address === address);
  }

  #factsOf(session: Session): SessionFacts {
    const { route, rooms } = session.about;
    session.outbox.settle();
    return {
      id: session.id,
      gateway: this.#options.layer.process,
      identity: { user: session.identity.user ?? null },
      address: session.address ?? null,
      transport: session.transport,
      route,
      rooms,
      queued_bytes: session.outbox.bytes,
      age: session.age / 1000,
    };
  }

  /** As many from the beginning as an answer holds; one at least. */
  #fitting<T>(items: readonly T[]): T[] {
    const most = Math.min(ANSWER_BYTES, this.#options.layerMessage / 2);
    let bytes = 0;
    const fitting = items.filter((item) => (bytes += JSON.stringify(item).length) <= most);
    return fitting.length === 0 ? items.slice(0, 1) : fitting;
  }
}

function partOf(limit: number): number {
  return Math.min(MOST, Math.max(1, Math.floor(Number(limit)) || 1));
}
