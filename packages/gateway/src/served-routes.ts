import { setTimeout as sleep } from 'node:timers/promises';
import type { Router } from '@busgate/consumer/run';
import type { ChannelLayer } from '@busgate/layer';
import { Rights } from './auth/rights.ts';
import type { Auth } from './auth.ts';
import type { Config } from './config.ts';
import type { ConsumerRouteConfig } from './config/consumer-route.ts';
import type { EventsRouteConfig } from './config/event-route.ts';
import type { RouteConfig } from './config/route-settings.ts';
import type { Counters } from './counters.ts';
import { Forwarders } from './forward/forwarders.ts';
import type { Hub } from './hub.ts';
import type { Inbound } from './inbound.ts';
import type { Seats } from './limits/seats.ts';
import type { Log } from './log.ts';
import type { Memory } from './memory/memory.ts';
import { ConsumerCounters } from './routes/consumer/counters.ts';
import { LocalBackend } from './routes/consumer/local-backend.ts';
import { LoopWatch } from './routes/consumer/loop-watch.ts';
import { EventsRoute, type EventsRouteSettings, type Handling } from './routes/events.ts';
import { PreparedQueues } from './routes/events/prepared-queues.ts';
import { QueueBackend } from './routes/events/queue-backend.ts';
import { Testaments } from './routes/events/testaments.ts';
import { OwnWorkers } from './routes/events/workers.ts';
import { MultiplexRoute } from './routes/multiplex.ts';
import { Polls } from './routes/polls.ts';
import type { WaitingPoll } from './routes/polls/waiting-poll.ts';
import { RoomRoute } from './routes/room.ts';
import type { Route } from './routes/route.ts';
import type { Uplinks } from './routes/uplinks.ts';
import type { Deadlines } from './session/deadlines.ts';
import type { Sessions } from './session/registry.ts';
import type { Session } from './session/session.ts';
import type { Tracing } from './tracing.ts';

export interface RoutesContext {
  readonly config: Config;
  /** What each module of a consumer route exports. */
  readonly consumers: ReadonlyMap<string, Router>;
  readonly layer: ChannelLayer;
  readonly hub: Hub;
  readonly counters: Counters;
  readonly inbound: Inbound;
  readonly memory: Pick<Memory, 'isFull'>;
  readonly sessions: Sessions;
  readonly auth: Pick<Auth, 'authority' | 'isBanned' | 'watch'>;
  readonly seats: Seats;
  readonly uplinks: Uplinks;
  readonly deadlines: Deadlines;
  /** Milliseconds in which this process ran. */
  readonly now: () => number;
  readonly log: Log;
  /** Undefined: nobody follows traces. */
  readonly tracing: Tracing | undefined;
}

/** The routes of a gateway, made from its configuration, and what those with workers share. */
export class ServedRoutes {
  /** In the order of the configuration, as are the next. */
  readonly all: readonly Route[];
  readonly events: readonly EventsRoute[];
  /** With queues of their own. */
  readonly workers: OwnWorkers;
  readonly polls: Polls;
  readonly #context: RoutesContext;
  readonly #testaments: Testaments;
  readonly #forwarders: Forwarders;
  readonly #hasQueues: boolean;
  readonly #queues: PreparedQueues;
  readonly #watch = new LoopWatch(() => performance.now());

  constructor(context: RoutesContext) {
    const { layer, log, deadlines, config, now } = context;
    this.#context = context;
    this.polls = this.#createPolls();
    context.auth.watch({ all: () => this.staying(), find: (id) => context.sessions.find(id) });
    this.#testaments = new Testaments(layer, log);
    this.workers = new OwnWorkers(layer, log, deadlines.tickMs);
    this.#forwarders = new Forwarders({ layer, log });
    const queues = config.routes.flatMap((settings) => (settings.kind === 'events' ? [settings.queue] : []));
    this.#hasQueues = queues.length > 0;
    this.#queues = new PreparedQueues(layer, log, now, queues);
    this.all = config.routes.map((settings) => this.#create(settings));
    this.events = this.all.filter((route) => route instanceof EventsRoute);
  }

  /** Resolves when workers find their queues, where the broker is there. */
  async start(): Promise<void> {
    this.#forwarders.start();
    this.#context.uplinks.start();
    await this.#queues.prepare();
  }

  /** To be called often: finds out which workers and gateways have gone, and whether those that come find their queues. */
  look(): void {
    this.workers.look();
    if (this.#hasQueues) this.#testaments.look();
    this.#queues.look();
  }

  /** Workers have been told the end of each session. */
  async ended(): Promise<void> {
    await Promise.all(this.events.map((route) => route.ended()));
  }

  async close(): Promise<void> {
    await this.#forwarders.close();
    await this.#context.uplinks.close();
    await this.#testaments.close().catch((error: unknown) => this.#context.log.warn('workers are told later that sessions ended', { error: String(error) }));
  }

  /** Whoever stays here: sessions, and polls that wait. */
  staying(): (Session | WaitingPoll)[] {
    return [...this.#context.sessions.all(), ...this.polls.all()];
  }

  #create(settings: RouteConfig): Route {
    const { config, hub, counters, inbound, memory, log, sessions, uplinks, auth } = this.#context;
    const { limits, heartbeat, rate } = config;
    if (settings.kind === 'events') return this.#createEvents(settings);
    if (settings.kind === 'consumer') return this.#createConsumer(settings);
    const shared = {
      hub,
      counters,
      inbound,
      memory,
      log,
      polls: this.polls,
      rights: new Rights(settings, config.rooms),
      asks: { ...rate, errors: limits.errors, now: () => performance.now() },
    };
    if (settings.kind === 'room') return new RoomRoute(settings, limits.message, shared);
    const route = new MultiplexRoute(settings, {
      ...shared,
      authority: auth.authority,
      uplinks,
      limits,
      reads: rate,
      heartbeat: heartbeat.interval,
      now: () => performance.now(),
      session: (id) => sessions.find(id),
    });
    uplinks.add(route.path.text, route);
    return route;
  }

  #createPolls(): Polls {
    const { config, hub, counters, memory, sessions, seats, deadlines, auth, log } = this.#context;
    const { outboxes, now } = sessions;
    const hasPlace = (): boolean => sessions.size + this.polls.size < config.limits.sessions && !memory.isFull;
    return new Polls({ hub, counters, deadlines, outboxes, now, log, hasPlace, seats, isBanned: (identity) => auth.isBanned(identity) });
  }

  #createEvents(settings: EventsRouteConfig): EventsRoute {
    const { layer, counters } = this.#context;
    const route = this.#handledBy(settings, {
      backend: ({ session }) => new QueueBackend(layer, counters.layerCalls, this.#testaments, settings, session),
    });
    this.#forwarders.add(settings, route.counters.forwarding);
    return route;
  }

  #createConsumer(settings: ConsumerRouteConfig): EventsRoute {
    const { layer, log, consumers, tracing } = this.#context;
    const router = consumers.get(settings.module);
    if (router === undefined) throw new TypeError(`${settings.module} was not loaded`);
    const route = settings.path.text;
    const counters = new ConsumerCounters((ms) =>
      log.warn('handlers of a consumer route held up everybody: a worker is the place for such work', { route, ms: Math.round(ms) }),
    );
    return this.#handledBy(
      // What no worker can be in time for, or lost with, has no meaning here.
      { ...settings, window: 1, acks: true, resumeTimeout: settings.acceptTimeout, onWorkerLoss: 'close' },
      {
        backend: ({ sessionOrRequest }) => new LocalBackend({ router, layer, log, counters, watch: this.#watch, tracing, takerOf: sessionOrRequest }),
        consumers: counters,
      },
    );
  }

  #handledBy(settings: EventsRouteSettings, handling: Handling): EventsRoute {
    const { config, layer, hub, sessions, uplinks, inbound, deadlines, now, log, auth, tracing } = this.#context;
    const { message, rooms, outbox, layerMessage } = config.limits;
    const route = new EventsRoute(settings, handling, {
      layer,
      hub,
      workers: this.workers,
      uplinks,
      inbound,
      deadlines,
      log,
      credentials: auth.authority?.credentials,
      message,
      rooms,
      outbox,
      reply: layerMessage,
      newId: () => sessions.newId(),
      now,
      sleep: (ms) => sleep(ms),
      tracing,
    });
    uplinks.add(route.route, route);
    return route;
  }
}
