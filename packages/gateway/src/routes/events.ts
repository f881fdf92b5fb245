import type { ChannelLayer, Listening } from '@busgate/layer';
import type { Answer } from '../answer.ts';
import type { EventsRoute as Settings } from '../config/event-route.ts';
import type { Hub } from '../hub.ts';
import type { Log } from '../log.ts';
import type { Deadlines } from '../session/deadlines.ts';
import { EventCounters } from './events/counters.ts';
import type { Asked, Subject } from './events/event.ts';
import { EventSession, type EventSessionContext } from './events/event-session.ts';
import { parseReplies } from './events/parse-reply.ts';
import { QueueBackend } from './events/queue-backend.ts';
import type { Refusal } from './events/reply.ts';
import type { Testaments } from './events/testaments.ts';
import type { OwnWorkers } from './events/workers.ts';
import { rawEncoding } from './raw-encoding.ts';
import type { RouteRequest } from './request.ts';
import type { Opening, Route } from './route.ts';

/** A line on replies that were not obeyed is logged this often for each route and reason, in milliseconds. */
const LOG_EVERY_MS = 60_000;

type Layer = Pick<ChannelLayer, 'newChannel' | 'closeChannel' | 'listen' | 'send' | 'groupAdd' | 'groupDiscard' | 'groupSend' | 'replyTopic'>;

/** What all event routes of a gateway share. */
export interface EventsContext {
  readonly layer: Layer;
  readonly hub: Hub;
  readonly testaments: Testaments;
  readonly workers: OwnWorkers;
  readonly deadlines: Deadlines;
  readonly log: Log;
  /** Bytes of a message from a client. */
  readonly message: number;
  /** Rooms of one session. */
  readonly rooms: number;
  /** An id for a session that has not begun. */
  readonly newId: () => string;
  /** Milliseconds, never going back. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

/** Sockets whose logic lives in workers: each thing that happens is a message of the workers' queue, and each thing that they reply is done. */
export class EventsRoute implements Route {
  readonly path: Settings['path'];
  readonly messageLimit: number;
  readonly subprotocols: readonly string[] = [];
  readonly counters = new EventCounters();
  readonly #context: EventsContext;
  readonly #session: EventSessionContext;
  readonly #sessions = new Map<string, { readonly session: EventSession; readonly listening: Listening }>();
  readonly #loggedAt = new Map<Refusal, number>();
  #whenNone: (() => void) | undefined;

  constructor(settings: Settings, context: EventsContext) {
    this.path = settings.path;
    this.messageLimit = context.message;
    this.#context = context;
    this.#session = {
      ...context,
      settings,
      counters: this.counters,
      backend: new QueueBackend(context.layer, context.testaments, settings.queue),
      encoding: rawEncoding(settings.frames, 'stay'),
      refused: (refusal, message) => this.#refused(refusal, message),
      failed: (error) => context.log.error('an event could not be given to a worker', { route: this.path.text, error: String(error) }),
      ended: (session) => this.#ended(session),
    };
  }

  /** Events that a queue has taken and nobody has handled. */
  get inFlight(): number {
    let events = 0;
    for (const { session } of this.#sessions.values()) events += session.inFlight;
    return events;
  }

  fault(): undefined {
    return undefined;
  }

  mayOpen(): boolean {
    return true;
  }

  open(request: RouteRequest): Promise<Opening | Answer> {
    const { layer, newId } = this.#context;
    const replyChannel = layer.newChannel('session');
    const subject: Subject = {
      session: newId(),
      replyChannel,
      replyTopic: layer.replyTopic,
      route: this.path.text,
      path: decodeURIComponent(request.path),
      params: request.params,
    };
    const session = new EventSession(subject, askedOf(request, 'ws'), this.#session);
    const listening = layer.listen(replyChannel, (payload) => {
      for (const parsed of parseReplies(payload)) session.take(parsed);
    });
    this.#sessions.set(subject.session, { session, listening });
    return session.open();
  }

  /** Resolves when the workers have been told the end of every session. */
  ended(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#sessions.size === 0) resolve();
      else this.#whenNone = resolve;
    });
  }

  #ended({ subject }: EventSession): void {
    const entry = this.#sessions.get(subject.session);
    if (entry === undefined) return;
    this.#sessions.delete(subject.session);
    void entry.listening.close();
    this.#context.layer.closeChannel(subject.replyChannel).catch(() => undefined);
    if (this.#sessions.size === 0) this.#whenNone?.();
  }

  #refused(refusal: Refusal, message: string): void {
    this.counters.refused[refusal] += 1;
    const now = this.#context.now();
    if (now - (this.#loggedAt.get(refusal) ?? -Infinity) < LOG_EVERY_MS) return;
    this.#loggedAt.set(refusal, now);
    this.#context.log.warn('a reply of a worker was dropped', { route: this.path.text, reason: refusal, message });
  }
}

function askedOf(request: RouteRequest, scheme: 'ws' | 'http'): Asked {
  return {
    scheme,
    method: request.method,
    httpVersion: '1.1',
    rawPath: request.path,
    queryString: request.queryString,
    rawHeaders: request.rawHeaders,
    client: [request.remote.address, request.remote.port],
    server: [request.local.address, request.local.port],
    user: request.identity.user ?? null,
  };
}
