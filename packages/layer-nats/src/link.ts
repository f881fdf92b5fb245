import { Losses, RetryWaits, isLayerError, type DriverEvents, type LayerError, type LayerLogger } from '@busgate/layer/driver';
import { connect, type ConnectionEvents } from './connection.ts';
import { faultOf, forbidden } from './errors.ts';
import { Session } from './session.ts';
import type { Server, Target } from './url.ts';

export interface LinkEvents extends Pick<DriverEvents, 'fault'> {
  /** A connection is there; it counts once this resolves. */
  arrived(session: Session): Promise<void>;
  /** The connection that counted has ended. */
  left(reason: string): void;
}

/** Keeps one connection to one of the servers, for ever: with growing and jittered waits, through the servers of the URL and those that they tell of. */
export class Link {
  readonly #target: Target;
  readonly #name: string;
  readonly #logger: LayerLogger;
  readonly #events: LinkEvents;
  readonly #losses: Losses;
  readonly #closing = new AbortController();
  /** Servers by the order in which they are tried; those of the URL first, shuffled so that a fleet spreads. */
  #servers: Server[];
  #session: Session | undefined;
  #running: Promise<void> | undefined;

  constructor(target: Target, name: string, logger: LayerLogger, events: LinkEvents) {
    this.#target = target;
    this.#name = name;
    this.#logger = logger;
    this.#events = events;
    this.#losses = new Losses((kind, reason) => events.fault(kind, reason));
    this.#servers = shuffle(target.servers);
  }

  /**
   * Resolves once connected, or once every server was tried in vain.
   * @throws LayerError REFUSED
   */
  async open(): Promise<void> {
    const failure = await this.#round();
    if (isLayerError(failure, 'REFUSED')) {
      this.#closing.abort();
      throw failure;
    }
    if (failure !== undefined) {
      this.#events.left(failure.message);
      this.#losses.lost(failure.message, faultOf(failure));
    }
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#session?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const waits = new RetryWaits();
    while (!this.#closing.signal.aborted) {
      if (this.#session !== undefined) {
        const { connection } = this.#session;
        const reason = await connection.ended;
        this.#session = undefined;
        if (this.#closing.signal.aborted) return;
        this.#events.left(reason);
        this.#losses.lost(reason, connection.fault);
        waits.reset();
      }
      await waits.wait(this.#closing.signal);
      const failure = this.#closing.signal.aborted ? undefined : await this.#round();
      if (failure !== undefined) this.#losses.lost(failure.message, faultOf(failure));
    }
  }

  /** Tries each server once; resolves with the last failure, or with none where one took us. */
  async #round(): Promise<Error | LayerError | undefined> {
    let failure: Error | undefined;
    const servers = this.#servers;
    for (const server of servers) {
      if (this.#closing.signal.aborted) break;
      try {
        await this.#try(server);
        return undefined;
      } catch (error) {
        if (failure === undefined || !isLayerError(failure, 'REFUSED')) failure = error as Error;
        this.#servers = [...this.#servers.filter((other) => other !== server), server];
      }
    }
    return failure;
  }

  async #try(server: Server): Promise<void> {
    const made: { session?: Session } = {};
    const connection = await connect(server, this.#target, this.#name, this.#connectionEvents(made));
    const session = new Session(connection, (kind, reason) => this.#events.fault(kind, reason));
    made.session = session;
    this.#losses.found({ address: `${server.host}:${server.port}`, id: connection.facts.id || undefined });
    try {
      await this.#events.arrived(session);
      this.#session = session;
      if (this.#closing.signal.aborted) await session.close();
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
