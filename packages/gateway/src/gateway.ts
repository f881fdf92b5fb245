import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Router as Consumers } from '@busgate/consumer/run';
import type { ChannelLayer } from '@busgate/layer';
import { demoHosts } from './admission/hosts.ts';
import { Admission, type Guest } from './admission.ts';
import { Auth } from './auth.ts';
import type { Config } from './config.ts';
import { type Counters, createCounters, type GatewayState } from './counters.ts';
import { demoFiles } from './demo.ts';
import { FleetBudget } from './drain/budget.ts';
import { DRAIN_STEPS, type DrainClock, type Draining, type DrainOrder } from './drain/draining.ts';
import { drain } from './drain.ts';
import type { HttpErrorKey } from './errors.ts';
import type { Upgrade } from './http/upgrades.ts';
import { PublicServer } from './http.ts';
import { Absence, STARTING, readiness, type Readiness } from './health.ts';
import { lossesOf } from './hub/loss.ts';
import { Hub } from './hub.ts';
import { Inbound } from './inbound.ts';
import { Replays } from './limits/replays.ts';
import { Seats } from './limits/seats.ts';
import type { Door, Listening } from './listen.ts';
import type { Log } from './log.ts';
import type { Memory } from './memory/memory.ts';
import { watchedMemory } from './memory/watched.ts';
import { checkLayer, openLayerOf } from './open-layer.ts';
import { Metrics } from './metrics.ts';
import { Clients } from './net/clients.ts';
import { Operations } from './operations.ts';
import { OpsServer, type OpsSource } from './ops.ts';
import { loadAll } from './routes/consumer/load.ts';
import type { EventCounters } from './routes/events/counters.ts';
import type { Opening, Route } from './routes/route.ts';
import { Router } from './routes/router.ts';
import { Uplinks } from './routes/uplinks.ts';
import { Deadlines } from './session/deadlines.ts';
import { Outboxes } from './session/outbox.ts';
import { RunningClock } from './session/running-clock.ts';
import { Sessions } from './session/registry.ts';
import { Session } from './session/session.ts';
import { ServedRoutes } from './served-routes.ts';
import { stateOf } from './state.ts';
import { Tracing } from './tracing.ts';
import { ReadTurns } from './transports/read-turns.ts';
import type { Transport } from './transports/transport.ts';
import { tickOf, timesOfSessions, wiresOf } from './wires.ts';

/** A room is let go between once and twice this after its last member has left. */
const LINGER_MS = 5000;

export interface GatewayOptions {
  readonly config: Config;
  /** For operators: which version answers. */
  readonly version: string;
  readonly log: Log & { readonly dropped: number };
  /** A layer of the caller's, which the caller closes. Without it the gateway opens the one that `config.layer` names, and closes it. */
  readonly layer?: ChannelLayer;
  /** How clients come in. Without it the gateway has its port to itself. */
  readonly door?: Door;
  /** Whether it opens the ops port; true without it. */
  readonly opensOps?: boolean;
  /** An operator has asked for a drain. Without it the gateway drains, and its process goes on. */
  readonly onDrain?: () => void;
}

/** A running gateway. Several may run in one process. */
export class Gateway implements AsyncDisposable, OpsSource {
  readonly metrics: Metrics;
  /** Whether clients should be sent here. */
  readonly readiness: () => Readiness;
  readonly #config: Config;
  readonly #layer: ChannelLayer;
  readonly #ownsLayer: boolean;
  readonly #counters: Counters = createCounters();
  readonly #inbound: Inbound;
  readonly #deadlines: Deadlines;
  readonly #clock: RunningClock;
  readonly #outboxes: Outboxes;
  readonly #memory: Memory;
  readonly #auth: Auth;
  readonly #sessions: Sessions;
  readonly #hub: Hub;
  readonly #routes: ServedRoutes;
  readonly #transports = new Map<Route, readonly Transport[]>();
  readonly #public: PublicServer;
  readonly #door: Door;
  #ops: OpsServer | undefined;
  readonly #operations: Operations;
  readonly #clients: Clients;
  readonly #tracing: Tracing | undefined;
  readonly #away: Absence;
  readonly #reached = Promise.withResolvers<void>();
  readonly #log: Log;
  #timer: NodeJS.Timeout | undefined;
  #isStarting = true;
  #isDraining = false;
  #isRefusing = false;
  #ended: Promise<void> | undefined;
  #listening: Listening | undefined;
  #opsListening: Listening | undefined;

  /** Use {@link Gateway.start}. */
  private constructor(options: GatewayOptions, layer: ChannelLayer, consumers: ReadonlyMap<string, Consumers>) {
    const { config, version } = options;
    const { limits } = config;
    const now = (): number => performance.now();
    this.#config = config;
    this.#layer = layer;
    this.#ownsLayer = options.layer === undefined;
    this.#log = options.log;
    this.#inbound = new Inbound(limits.inboundTotal);
    this.#deadlines = new Deadlines(tickOf(config));
    const seats = new Seats(limits, now);
    const uplinks = new Uplinks(layer, this.#deadlines, options.log);
    this.#clock = new RunningClock(now, 2 * this.#deadlines.tickMs);
    this.#outboxes = new Outboxes(this.#counters, limits.outbox, limits.outboxTotal, this.#clock.now);
    const holders = [this.#outboxes, this.#inbound];
    this.#memory = watchedMemory(config, { holders, now, onFull: (isFull) => this.#public.hold(isFull), log: options.log });
    this.#auth = new Auth(config, { layer, log: options.log });
    this.#sessions = new Sessions(this.#outboxes, this.#deadlines, timesOfSessions(config), now, uplinks.address, this.#auth.renewals);
    const clock = { now, defer: setImmediate };
    this.#tracing = Tracing.of(config.tracing, version, options.log);
    const shared = { layer, counters: this.#counters, log: options.log, tracing: this.#tracing };
    const lossOf = lossesOf(config.rooms);
    const replays = new Replays(limits, { now, after: (ms, look) => void setTimeout(look, ms).unref() });
    this.#hub = new Hub({ ...shared, clock, backlog: limits.roomBacklog, linger: LINGER_MS, maxRooms: limits.roomsTotal, lossOf, replays });
    this.#routes = new ServedRoutes({
      ...shared,
      config,
      consumers,
      hub: this.#hub,
      inbound: this.#inbound,
      memory: this.#memory,
      sessions: this.#sessions,
      auth: this.#auth,
      seats,
      uplinks,
      deadlines: this.#deadlines,
      now: this.#clock.now,
    });
    this.#clients = new Clients(config.trustedProxies);
    this.#public = this.#createPublic(new ReadTurns(clock), seats);
    this.#away = new Absence(layer, now);
    const sources = { layer, state: this.state, now };
    this.metrics = new Metrics({
      ...sources,
      counters: this.#counters,
      log: options.log,
      version,
      tickMs: this.#deadlines.tickMs,
      sessionsLimit: limits.sessions,
      events: this.#routes.events,
      workers: this.#routes.workers,
    });
    const knowsBans = (): boolean => this.#auth.isReady;
    this.readiness = () => (this.#isStarting ? STARTING : readiness({ ...sources, away: this.#away, knowsBans, layerGrace: config.ready.layerGrace }));
    this.#door = options.door ?? 'own';
    const drain = options.onDrain ?? (() => void this.drain({ notice: true }));
    const isDraining = (): boolean => this.#isDraining;
    this.#operations = new Operations({ ...options, layer, hub: this.#hub, sessions: this.#sessions, auth: this.#auth, isDraining, drain });
    this.#ops = options.opensOps === false ? undefined : new OpsServer(this, config.ops.key);
  }

  /**
   * Opens the layer and listens: on the ops port first, so that a gateway that waits for its broker can be seen.
   * @throws LayerError for a layer that can never be opened; ConfigError for a module of consumers that cannot be loaded; the system's error for an address that cannot be had
   */
  static async start(options: GatewayOptions): Promise<Gateway> {
    const consumers = await loadAll(options.config.routes.flatMap((route) => (route.kind === 'consumer' ? [route.module] : [])));
    const layer = options.layer ?? (await openLayerOf(options.config, options.log));
    const gateway = new Gateway(options, layer, consumers);
    try {
      checkLayer(layer, options.config.routes);
      await gateway.#listen();
      return gateway;
    } catch (error) {
      await gateway.close();
      throw error;
    }
  }

  /** What operators can see and do; asked only by those who have the key. */
  get api(): Operations['api'] {
    return this.#operations.api;
  }

  /** Sessions that are open, or being closed. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** What the metrics read. */
  get state(): GatewayState {
    const [outboxes, sessions, hub, inbound, memory] = [this.#outboxes, this.#sessions, this.#hub, this.#inbound, this.#memory];
    return stateOf({ outboxes, sessions, hub, inbound, memory, polls: this.#routes.polls, isDraining: () => this.#isDraining });
  }

  get counters(): Readonly<Counters> {
    return this.#counters;
  }

  /** What each event route has done, in the order of the configuration. */
  get events(): readonly Readonly<EventCounters>[] {
    return this.#routes.events.map(({ counters }) => counters);
  }

  /** Resolves when the layer has been reached for the first time: clients are served from then on. */
  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  /** Whether it has been. */
  get isReached(): boolean {
    return this.#layer.stats.connects > 0;
  }

  get listening(): Listening {
    if (this.#listening === undefined) throw new TypeError('the gateway has not been started');
    return this.#listening;
  }

  get ops(): Listening {
    if (this.#opsListening === undefined) throw new TypeError('the gateway has not been started');
    return this.#opsListening;
  }

  /**
   * Ends the gateway in the order that loses nothing, within `drain.deadline`: not ready for `drain.notice` (none where `notice` is false), then refusing,
   * every client told and closed with 1012 at a pace, outboxes flushed, the layer last. Calling twice is one drain.
   */
  drain({ notice, leave = false, deadline = this.#config.drain.deadline }: DrainOrder): Promise<void> {
    const budget = FleetBudget.of(this.#config.drain.fleetRate, this.#layer);
    this.#ended ??= drain(this.#draining(leave), { notice: notice ? this.#config.drain.notice : 0, deadline, budget }, clock());
    return this.#ended;
  }

  /** Serves a connection that somebody else has accepted. */
  accept(socket: Socket): void {
    this.#public.accept(socket);
  }

  /** Lets go of the ops port: whoever has it now answers there, and closes it. */
  giveOps(): OpsServer {
    if (this.#ops === undefined) throw new TypeError('this gateway has no ops port');
    const ops = this.#ops;
    this.#ops = undefined;
    return ops;
  }

  /** Ends it at once: sessions are closed with 1012 and not waited for. */
  async close(): Promise<void> {
    const draining = this.#draining(false);
    draining.announce();
    draining.refuse();
    for (const session of draining.sessions()) session.close('drained');
    draining.cutOff();
    await draining.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #listen(): Promise<void> {
    const { host, port, ops } = this.#config;
    this.#opsListening = await this.#ops?.listen(ops.host, ops.port);
    await this.#routes.start();
    if (this.#door !== 'handed') this.#listening = await this.#public.listen(host, port, { shared: this.#door === 'shared' });
    // After the loop's next reading, so that an answer that waits in the kernel counts, however long the process stood still.
    this.#timer = setInterval(() => setImmediate(() => this.#tick()), this.#deadlines.tickMs);
    this.#timer.unref();
    this.#memory.start();
    this.#inbound.watch(() => this.#memory.lookForBytes());
    this.#isStarting = false;
    if (this.isReached) this.#reached.resolve();
    this.#operations.look();
  }

  #tick(): void {
    this.#clock.tick();
    this.#deadlines.tick();
    this.#outboxes.sweep();
    this.#routes.look();
    this.#operations.look();
    this.#auth.look();
    this.#away.look();
    this.metrics.look();
    if (this.isReached) this.#reached.resolve();
  }

  #draining(leave: boolean): Draining {
    const steps: Record<string, number> = {};
    return {
      announce: () => {
        this.#isDraining = true;
        if (leave) this.#public.leave();
      },
      refuse: () => {
        this.#isRefusing = true;
      },
      sessions: () => this.#routes.staying(),
      gone: async () => void (await Promise.all([this.#sessionsEnded(), this.#public.answered()])),
      cutOff: () => {
        for (const session of this.#sessions.all()) session.cutOff();
        this.#public.close();
      },
      took: (step, ms) => {
        this.metrics.drained(step, ms);
        steps[`${step}_ms`] = Math.round(ms);
        // The page of metrics goes with its port.
        if (step === DRAIN_STEPS.at(-1)) this.#log.info('what the steps of the drain took', steps);
      },
      finish: () => this.#finish(),
    };
  }

  /** No session is left, and workers have been told the end of each. */
  async #sessionsEnded(): Promise<void> {
    await this.#sessions.none();
    await this.#routes.ended();
  }

  async #finish(): Promise<void> {
    clearInterval(this.#timer);
    this.#memory.close();
    this.#public.stopListening();
    await this.#routes.close();
    await this.#hub.published();
    await this.#operations.close();
    await this.#auth.close();
    this.#hub.close();
    this.#public.close();
    this.#ops?.close();
    if (this.#ownsLayer) await this.#layer.close();
    await this.#tracing?.flush();
  }

  #createPublic(turns: ReadTurns, seats: Seats): PublicServer {
    const config = this.#config;
    const { limits } = config;
    for (const route of this.#routes.all) this.#transports.set(route, wiresOf(route, config, this.#inbound, turns));
    return new PublicServer({
      router: new Router(this.#routes.all),
      admission: new Admission({
        layer: this.#layer,
        memory: this.#memory,
        refuses: () => this.#isRefusing,
        sessions: () => this.#sessions.size + this.#routes.polls.size,
        limit: limits.sessions,
        origins: config.origins,
        answersTo: config.demo ? demoHosts(config.host) : () => true,
        seats,
        authority: this.#auth.authority,
        believesCookies: this.#auth.believesCookies,
        log: this.#log,
      }),
      counters: this.#counters,
      log: this.#log,
      clients: this.#clients,
      proxied: config.proxyProtocol ? config.trustedProxies : undefined,
      demo: config.demo ? demoFiles() : new Map(),
      handshake: limits.handshake,
      messageTime: limits.messageTime,
      keepAlive: config.http.keepAlive,
      sessions: limits.sessions,
      payload: Math.max(limits.message, limits.frame),
      inbound: this.#inbound,
      transports: (route) => this.#transports.get(route) ?? [],
      begin: (...session) => this.#begin(...session),
      isDraining: () => this.#isDraining,
    });
  }

  /** In one step the handshake is answered and the session begins. */
  #begin(transport: Transport, { request, tcp, head }: Upgrade, opening: Opening, { identity, seat }: Guest): HttpErrorKey | undefined {
    const refused = this.#isRefusing ? 'draining' : this.#auth.isBanned(identity) ? 'bad_token' : undefined;
    if (refused !== undefined) {
      opening.cancel();
      return refused;
    }
    let hasBegun = false;
    transport.accept(request, tcp, head, opening.greeting, (link) => {
      hasBegun = true;
      this.#counters.openedOn[opening.kind] += 1;
      return new Session(link, this.#sessions, identity, (session) => opening.begin(session), {
        id: opening.id,
        seat,
        address: this.#clients.behindProxy(request),
      });
    });
    if (!hasBegun) opening.cancel();
    return undefined;
  }
}

function clock(): DrainClock {
  return { now: () => performance.now(), sleep: (ms) => sleep(ms) };
}
