import { createHash } from 'node:crypto';
import { isName } from '@busgate/layer';
import { type BackendUrl, readBackend, URL_RULE, writeBackend } from './backend-url.ts';
import { complete, type MemberReader } from './members.ts';
import type { PathPattern } from './path.ts';
import { count, duration, oneOf, text, toggle, type ValueType } from './types.ts';

/** Sockets, and requests where it says so, whose events go to workers. Times in milliseconds. */
export interface EventsRouteConfig {
  readonly kind: 'events';
  readonly path: PathPattern;
  /** The worker queue that the events go to; of a route with a backend its own. */
  readonly queue: string;
  /** Where the gateways themselves post what is in the queue. */
  readonly backend?: BackendUrl;
  /** Whether plain HTTP requests of the path become events, too. */
  readonly http: boolean;
  readonly acceptTimeout: number;
  readonly handlerTimeout: number;
  readonly resumeTimeout: number;
  /** Events that may wait in the queue. */
  readonly capacity: number;
  readonly window: number;
  readonly acks: boolean;
  /** The frame that a message of a room becomes. */
  readonly frames: 'auto' | 'text' | 'binary';
  readonly onWorkerLoss: 'resume' | 'close';
}

const QUEUE = text('a queue name: 1 to 200 ASCII letters, digits and _ : @ -, with single dots between levels', 'NAME', isName);
const TIMEOUT = duration('100ms', '1h');
const CAPACITY = count(1, 1_000_000);
const WINDOW = count(1, 1000);
const FRAMES = oneOf('auto', 'text', 'binary');
const ON_WORKER_LOSS = oneOf('resume', 'close');

const QUEUE_OR_URL = { ...QUEUE, allowed: `${QUEUE.allowed}; or url: ${URL_RULE}` };

const MEMBERS = [
  'path',
  'kind',
  'queue',
  'url',
  'secret',
  'secret_file',
  'concurrency',
  'http',
  'accept_timeout',
  'handler_timeout',
  'resume_timeout',
  'capacity',
  'window',
  'acks',
  'frames',
  'on_worker_loss',
];

const SECONDS = 1000;

/** `readFile` reads the file of a secret. */
export function readEventsRoute(members: MemberReader, path: ValueType<PathPattern>, readFile: (path: string) => string): EventsRouteConfig | undefined {
  members.refuseOthers('an event route', MEMBERS);
  const route = readCommon(members, path);
  if (!members.has('url')) {
    for (const name of ['secret', 'secret_file', 'concurrency']) if (members.has(name)) members.refuse(name, 'left out: it belongs to url');
    return route;
  }
  if (members.has('queue')) members.refuse('queue', 'left out: a route with url has a queue of its own');
  const backend = readBackend(members, readFile);
  return route === undefined || backend === undefined ? undefined : { ...route, backend };
}

function readCommon(members: MemberReader, path: ValueType<PathPattern>): EventsRouteConfig | undefined {
  const pattern = members.take('path', path);
  return complete<EventsRouteConfig>({
    kind: 'events',
    path: pattern,
    queue: members.has('url') ? ownQueue(pattern?.text ?? '') : members.take('queue', QUEUE_OR_URL),
    http: members.take('http', toggle, false),
    acceptTimeout: members.take('accept_timeout', TIMEOUT, 10 * SECONDS),
    handlerTimeout: members.take('handler_timeout', TIMEOUT, 30 * SECONDS),
    resumeTimeout: members.take('resume_timeout', TIMEOUT, 30 * SECONDS),
    capacity: members.take('capacity', CAPACITY, 10_000),
    window: members.take('window', WINDOW, 1),
    acks: members.take('acks', toggle, true),
    frames: members.take('frames', FRAMES, 'auto'),
    onWorkerLoss: members.take('on_worker_loss', ON_WORKER_LOSS, 'resume'),
  });
}

/** The queue of all gateways' route of this path, whatever backend it has. */
function ownQueue(path: string): string {
  return `url.${createHash('sha256').update(path).digest('hex').slice(0, 16)}`;
}

/** As the file would say it, secrets masked. */
export function writeEventsRoute(route: EventsRouteConfig): Record<string, unknown> {
  return {
    path: route.path.text,
    kind: route.kind,
    ...(route.backend === undefined ? { queue: route.queue } : writeBackend(route.backend)),
    http: route.http,
    accept_timeout: TIMEOUT.write(route.acceptTimeout),
    handler_timeout: TIMEOUT.write(route.handlerTimeout),
    resume_timeout: TIMEOUT.write(route.resumeTimeout),
    capacity: route.capacity,
    window: route.window,
    acks: route.acks,
    frames: route.frames,
    on_worker_loss: route.onWorkerLoss,
  };
}
