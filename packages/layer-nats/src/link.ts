import { LayerError, Reconnecting, isLayerError, type Absence, type DriverEvents, type LayerLogger } from '@busgate/layer/driver';
import { connect, type ConnectionEvents } from './connection.ts';
import { faultOf, forbidden } from './errors.ts';
import { Session } from './session.ts';
import type { Server, Target } from './url.ts';

export interface LinkEvents extends Pick<DriverEvents, 'fault'> {
  /** A connection is there; it counts once this resolves. */
  prepare(session: Session): Promise<void>;
  /** It counts. */
  arrived(session: Session): void;
  /** The one that counted has ended, or none could be made; as often as that has another reason. */
  away(reason: string): void;
}

/** Keeps one connection to one of the servers: the first that takes us, of those of the URL and those that they tell of. */
export class Link {
  readonly #target: Target;
  readonly #name: string;
  readonly #logger: LayerLogger;
  readonly #events: LinkEvents;
  readonly #reconnecting: Reconnecting;
  /** Servers by the order in which they are tried; those of the URL first, shuffled so that a fleet spreads. */
  #servers: Server[];
  #session: Session | undefined;

  constructor(target: Target, name: string, logger: LayerLogger, events: LinkEvents) {
    this.#target = target;
    this.#name = name;
    this.#logger = logger;
    this.#events = events;
    this.#servers = shuffle(target.servers);
    this.#reconnecting = new Reconnecting({
      hold: (reached, signal) => this.#hold(reached, signal),
      absenceOf: (error) => ({ reason: (error as Error).message, fault: faultOf(error) }),
      connected: () => {
        if (this.#session !== undefined) events.arrived(this.#session);
      },
      away: (reason) => events.away(reason),
      fault: (kind, reason) => events.fault(kind, reason),
    });
  }

  /** Why there is none; undefined as long as none was tried. */
  get reason(): string | undefined {
    return this.#reconnecting.reason;
  }

  /**
   * Resolves once connected, or once every server was tried in vain.
   * @throws LayerError REFUSED
   */
  open(): Promise<void> {
    return this.#reconnecting.open();
  }

  async close(): Promise<void> {
    const closed = this.#reconnecting.close();
    await this.#session?.close();
    await closed;
  }

  async #hold(reached: () => void, signal: AbortSignal): Promise<Absence> {
    const session = await this.#any();
    this.#session = session;
    if (signal.aborted) await session.close();
    else reached();
    const { connection } = session;
    const reason = await connection.ended;
    this.#session = undefined;
    return { reason, fault: connection.fault };
  }

  /** Tries each server once. @throws the last failure, or a refusal */
  async #any(): Promise<Session> {
    let failure: Error | undefined;
    for (const server of this.#servers) {
      if (this.#reconnecting.signal.aborted) break;
      try {
        return await this.#try(server);
      } catch (error) {
        if (failure === undefined || !isLayerError(failure, 'REFUSED')) failure = error as Error;
        this.#servers = [...this.#servers.filter((other) => other !== server), server];
      }
    }
    throw failure ?? new LayerError('LAYER_CLOSED', 'the layer has been closed');
  }

  async #try(server: Server): Promise<Session> {
    const made: { session?: Session } = {};
    const connection = await connect(server, this.#target, this.#name, this.#connectionEvents(made));
    const session = new Session(connection, (kind, reason) => this.#events.fault(kind, reason));
    made.session = session;
    this.#reconnecting.found({ address: `${server.host}:${server.port}`, id: connection.facts.id || undefined });
    try {
      await this.#events.prepare(session);
      return session;
    } catch (error) {
      session.end(String(error));
      throw error;
    }
  }

  #connectionEvents(made: { readonly session?: Session }): ConnectionEvents {
    return {
      publishRefused: (subject) => {
        this.#events.fault('refused', forbidden('publish', subject).message);
        made.session?.refuse(subject);
      },
      complaint: (text) => this.#logger.error('NATS complains', { text }),
      peers: (servers) => this.#learn(servers),
    };
  }

  /** Servers of the URL stay whatever the cluster says; others as long as it names them. */
  #learn(names: readonly string[]): void {
    const told = names.map(readName).filter((server) => server !== undefined);
    const known = (server: Server, list: readonly Server[]): boolean => list.some(({ host, port }) => host === server.host && port === server.port);
    const kept = this.#servers.filter((server) => known(server, this.#target.servers) || told.length === 0 || known(server, told));
    this.#servers = [...kept, ...shuffle(told.filter((server) => !known(server, kept)))];
  }
}

function readName(name: string): Server | undefined {
  const match = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(name);
  const host = match?.[1] ?? match?.[2];
  return host === undefined ? undefined : { host, port: Number(match?.[3]) };
}

function shuffle(servers: readonly Server[]): Server[] {
  return servers
    .map((server) => ({ server, order: Math.random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ server }) => server);
}
