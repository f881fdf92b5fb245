import type { ChannelLayer, Listening } from '@busgate/layer';
import type { Answer, StreamedAnswer } from '../answer.ts';
import type { Credentials, Presenting } from '../auth/credentials.ts';
import type { PathPattern } from '../config/path.ts';
import type { HttpErrorKey } from '../errors.ts';
import type { Hub } from '../hub.ts';
import type { Inbound } from '../inbound.ts';
import type { Log } from '../log.ts';
import type { Deadlines } from '../session/deadlines.ts';
import type { Tracing } from '../tracing.ts';
import { EventCounters } from './events/counters.ts';
import { type OpeningRequest, knownClient, type Subject } from './events/event.ts';
import { EventRequest } from './events/event-request.ts';
import { EventSession, type EventSessionContext } from './events/event-session.ts';
import { type Parsed, parseReplies } from './events/parse-reply.ts';
import type { Backend } from './events/backend.ts';
import type { ConsumerCounters } from './consumer/counters.ts';
import type { ReplyRefusal } from './events/reply.ts';
import type { EventSettings } from './events/settings.ts';
import type { OwnWorkers } from './events/workers.ts';
import { rawEncoding } from './raw-encoding.ts';
import { type RouteRequest, traceparentOf } from './request.ts';
import type { Leaving, Opening, Posting, Route, Serving } from './route.ts';
import type { UplinkOutcome, Uplinked, Uplinks, UplinkTaker } from './uplinks.ts';

/** A line on replies that were not obeyed is logged this often for each route and reason, in milliseconds. */
const LOG_EVERY_MS = 60_000;

type Layer = Pick<ChannelLayer, 'newChannel' | 'closeChannel' | 'listen' | 'send' | 'groupAdd' | 'groupDiscard' | 'groupSend' | 'replyTopic'>;

/** What a route says of itself. */
export interface EventsRouteSettings extends EventSettings {
  readonly path: PathPattern;
  /** Whether plain requests of the path are events, too. */
  readonly http: boolean;
}

/** Finds what a route has, by the id of the session. */
interface SessionLookup {
  readonly session: (id: string) => EventSession | undefined;
  readonly sessionOrRequest: (id: string) => EventSession | EventRequest | undefined;
}

/** Where a route's events go. */
export interface Handling {
  readonly backend: (found: SessionLookup) => Backend;
  /** Of handlers in this process. */
  readonly consumers?: ConsumerCounters;
}

/** What all event routes of a gateway share. */
export interface EventsContext {
  readonly layer: Layer;
  readonly hub: Hub;
  readonly workers: OwnWorkers;
  readonly uplinks: Uplinks;
  readonly inbound: Inbound;
  readonly deadlines: Deadlines;
  readonly log: Log;
  /** Bytes of a message from a client. */
  readonly message: number;
  /** Where a token stands in a request, which no worker is told; undefined: there are none. */
  readonly credentials: Credentials | undefined;
  /** Rooms of one session. */
  readonly rooms: number;
  /** Bytes that wait for one client. */
  readonly outbox: number;
  /** Bytes of what a worker may send at a time. */
  readonly reply: number;
  /** An id for a session that has not begun. */
  readonly newId: () => string;
  /** Milliseconds, never going back. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  /** Undefined: nobody follows traces. */
  readonly tracing: Tracing | undefined;
}

/** Sockets whose logic lives elsewhere, in workers or in handlers of this process: each thing that happens is an event, and each thing that is replied is done. */
export class EventsRoute implements Route, Serving, Posting, UplinkTaker {
  readonly path: PathPattern;
  readonly messageLimit: number;
  readonly counters = new EventCounters();
  /** Of handlers in this process; undefined where they are elsewhere. */
  readonly consumers: ConsumerCounters | undefined;
  readonly #context: EventsContext;
  readonly #session: EventSessionContext;
  readonly #sessions = new Map<string, EventSession>();
  readonly #requests = new Map<string, EventRequest>();
  readonly #listening = new Map<string, Listening>();
  readonly #servesHttp: boolean;
  readonly #outbox: number;
  readonly #loggedAt = new Map<ReplyRefusal, number>();
  #whenNone: (() => void) | undefined;

  constructor(settings: EventsRouteSettings, { backend, consumers }: Handling, context: EventsContext) {
    this.path = settings.path;
    this.consumers = consumers;
    this.messageLimit = context.message;
    this.#servesHttp = settings.http;
    this.#outbox = context.outbox;
    this.#context = context;
    this.#session = {
      ...context,
      route: this.route,
      kind: consumers === undefined ? 'events' : 'consumer',
      settings,
      counters: this.counters,
      backend: backend({ session: (id) => this.#sessions.get(id), sessionOrRequest: (id) => this.#sessions.get(id) ?? this.#requests.get(id) }),
      encoding: rawEncoding(settings.frames, 'stay'),
      refused: (refusal, message) => this.#refused(refusal, message),
      failed: (error) => context.log.error('an event could not be given to a worker', { route: this.route, error: String(error) }),
      ended: (session) => this.#ended(session),
    };
  }

  /** By which the route is known in metrics and logs. */
  get route(): string {
    return this.path.text;
  }

  /** Events that a queue has taken and nobody has handled. */
  get inFlight(): number {
    let events = 0;
    for (const session of this.#sessions.values()) events += session.inFlight;
    for (const request of this.#requests.values()) events += request.inFlight;
    return events;
  }

  fault(): undefined {
    return undefined;
  }

  denial(): undefined {
    return undefined;
  }

  open(request: RouteRequest): Promise<Opening | Answer | HttpErrorKey> {
    const session = new EventSession(this.#subjectOf(request), this.#askedOf(request, 'ws'), this.#session);
    this.#sessions.set(session.subject.session, session);
    this.#listen(session);
    request.onLeft(() => session.left());
    return session.open();
  }

  /** Where plain requests are events too, the workers answer a POST as well. */
  get posting(): Posting | undefined {
    return this.#servesHttp ? undefined : this;
  }

  postDenial(): undefined {
    return undefined;
  }

  /** The body is a message of a session whose wire only comes down. */
  async post(request: RouteRequest, body: Uint8Array): Promise<Answer | HttpErrorKey> {
    return request.query.has('session') ? await this.#context.uplinks.post(this.route, request, body) : 'no_transport';
  }

  take({ session: id, user, body }: Uplinked): UplinkOutcome | Promise<UplinkOutcome> {
    const session = this.#sessions.get(id);
    return session === undefined || (session.subject.who.user ?? undefined) !== user ? 'no_session' : session.post(body);
  }

  get serving(): Serving | undefined {
    return this.#servesHttp ? this : undefined;
  }

  serve(request: RouteRequest, body: Uint8Array, leaving: Leaving): Promise<Answer | StreamedAnswer> {
    const context = { ...this.#session, outbox: this.#outbox, ended: ({ subject }: EventRequest) => this.#answered(subject) };
    const asking = new EventRequest(this.#subjectOf(request), this.#askedOf(request, 'http'), body, context);
    this.#requests.set(asking.subject.session, asking);
    this.#listen(asking);
    return asking.open(leaving);
  }

  /** Resolves when the end of every session has been told, and handlers in this process have ended. */
  async ended(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#sessions.size === 0) resolve();
      else this.#whenNone = resolve;
    });
    await this.#session.backend.idle();
  }

  #ended({ subject }: EventSession): void {
    this.#sessions.delete(subject.session);
    this.#unlisten(subject);
    if (this.#sessions.size === 0) this.#whenNone?.();
  }

  #answered(subject: Subject): void {
    this.#requests.delete(subject.session);
    this.#unlisten(subject);
  }

  #askedOf(request: RouteRequest, scheme: 'ws' | 'http'): OpeningRequest {
    const { credentials, tracing } = this.#context;
    return askedOf(request, credentials?.without(request) ?? request, scheme, tracing === undefined ? undefined : traceparentOf(request.headers));
  }

  #subjectOf({ path, params, identity }: RouteRequest): Subject {
    const { layer, newId } = this.#context;
    return {
      session: newId(),
      replyChannel: layer.newChannel('session'),
      replyTopic: layer.replyTopic,
      route: this.route,
      path: decodeURIComponent(path),
      params,
      who: knownClient(identity),
    };
  }

  #listen(to: { readonly subject: Subject; take(parsed: Parsed): void }): void {
    const { session, replyChannel } = to.subject;
    const listening = this.#context.layer.listen(replyChannel, (payload) => {
      if (payload.length > this.#context.reply) return this.#refused('too_large', `a reply of ${payload.length} bytes`);
      for (const parsed of parseReplies(payload)) to.take(parsed);
    });
    this.#listening.set(session, listening);
  }

  #unlisten({ session, replyChannel }: Subject): void {
    const listening = this.#listening.get(session);
    if (listening === undefined) return;
    this.#listening.delete(session);
    void listening.close();
    this.#context.layer.closeChannel(replyChannel).catch(() => undefined);
  }

  #refused(refusal: ReplyRefusal, message: string): void {
    this.counters.refused[refusal] += 1;
    const now = this.#context.now();
    if (now - (this.#loggedAt.get(refusal) ?? -Infinity) < LOG_EVERY_MS) return;
    this.#loggedAt.set(refusal, now);
    this.#context.log.warn('a reply of a worker was dropped', { route: this.route, reason: refusal, message });
  }
}

function askedOf(request: RouteRequest, { queryString, rawHeaders }: Presenting, scheme: 'ws' | 'http', traceparent: string | undefined): OpeningRequest {
  return {
    scheme: request.scheme === 'https' ? `${scheme}s` : scheme,
    method: request.method,
    httpVersion: '1.1',
    rawPath: request.path,
    queryString,
    rawHeaders,
    traceparent,
    client: [request.remote.address, request.remote.port],
    server: [request.local.address, request.local.port],
  };
}
