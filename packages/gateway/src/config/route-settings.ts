import { ACCESS, type Access } from './access.ts';
import { type ConsumerRouteConfig, readConsumerRoute, writeConsumerRoute } from './consumer-route.ts';
import { type EventsRouteConfig, readEventsRoute, writeEventsRoute } from './event-route.ts';
import { complete, MemberReader, readItems } from './members.ts';
import { PATH, PATH_OF, type PathPattern } from './path.ts';
import { oneOf, type Report, type ValueType } from './types.ts';

interface CommonRoute {
  readonly path: PathPattern;
  /** Who may do it at the most. */
  readonly join: Access;
  readonly publish: Access;
}

/** Each frame is a message of the room that the path's parameter `room` names. */
export interface RoomRouteConfig extends CommonRoute {
  readonly kind: 'room';
  /** The frame a message becomes; `auto`: a text frame where the payload is valid UTF-8, else a binary one. */
  readonly frames: 'auto' | 'text' | 'binary';
  /** What a gap does to a session, which the wire cannot tell otherwise. */
  readonly onGap: 'stay' | 'close';
  /** What a message of a session's that the layer does not take does to the session, which the wire cannot tell otherwise. */
  readonly onPublishFailure: 'stay' | 'close';
}

/** Many rooms on one connection, JSON frames. */
export interface MultiplexRouteConfig extends CommonRoute {
  readonly kind: 'multiplex';
}

export type RouteConfig = RoomRouteConfig | MultiplexRouteConfig | EventsRouteConfig | ConsumerRouteConfig;

const KIND = oneOf('room', 'multiplex', 'events', 'consumer');
const FRAMES = oneOf('auto', 'text', 'binary');
const STAY_OR_CLOSE = oneOf('stay', 'close');

const COMMON_MEMBERS = ['path', 'kind', 'join', 'publish'];
const ROOM_MEMBERS = [...COMMON_MEMBERS, 'frames', 'on_gap', 'on_publish_failure'];

/** Shown where routes are missing. */
const ROUTES_EXAMPLE = '[{path: "/room/:room", kind: room, join: anyone, publish: nobody}]';

/** What `--demo` serves, and what an unsaid `join` and `publish` mean there. */
export const DEMO_ROUTES = [
  { path: '/room/:room', kind: 'room', join: 'anyone', publish: 'anyone' },
  { path: '/socket', kind: 'multiplex', join: 'anyone', publish: 'anyone' },
];

/** What routes need of the files that they name. */
export interface RouteFiles {
  readonly readFile: (path: string) => string;
  /** Of the file of settings: what modules are relative to. */
  readonly directory: string;
}

/** The list of routes. In a demo `join` and `publish` may be left out, and are `anyone`; outside it nothing is open that was not said to be. */
export function routes(demo: boolean, files: RouteFiles): ValueType<readonly RouteConfig[]> {
  const allowed = `a list of routes, such as ${ROUTES_EXAMPLE}`;
  return {
    name: 'list',
    allowed,
    placeholder: 'YAML',
    read(raw, report) {
      if (!Array.isArray(raw) || raw.length === 0) {
        report({ got: raw, must: allowed });
        return undefined;
      }
      const read = readItems(raw, (item, tell) => readRoute(item, demo, files, tell), report);
      reportTwins(read ?? [], report);
      return read;
    },
    write: (value) => value.map(writeRoute),
  };
}

function readRoute(raw: unknown, demo: boolean, files: RouteFiles, report: Report): RouteConfig | undefined {
  const members = MemberReader.of(raw, `a route, such as ${ROUTES_EXAMPLE.slice(1, -1)}`, report);
  if (members === undefined) return undefined;
  const kind = members.take('kind', KIND);
  if (kind === 'events') return readEventsRoute(members, PATH, files.readFile);
  if (kind === 'consumer') return readConsumerRoute(members, PATH, files.directory);
  const open = demo ? 'anyone' : undefined;
  const common = {
    path: members.take('path', kind === undefined ? PATH : PATH_OF[kind]),
    join: members.take('join', ACCESS, open),
    publish: members.take('publish', ACCESS, open),
  };
  if (kind === 'multiplex') {
    members.refuseOthers('a multiplex route', COMMON_MEMBERS);
    return complete<MultiplexRouteConfig>({ kind, ...common });
  }
  members.refuseOthers('a room route', ROOM_MEMBERS);
  const frames = members.take('frames', FRAMES, 'auto');
  const onGap = members.take('on_gap', STAY_OR_CLOSE, 'stay');
  const onPublishFailure = members.take('on_publish_failure', STAY_OR_CLOSE, 'close');
  return complete<RoomRouteConfig>({ kind, ...common, frames, onGap, onPublishFailure });
}

/** Two routes with one path: the second could never be reached. */
function reportTwins(all: readonly RouteConfig[], report: Report): void {
  const seen = new Set<string>();
  for (const [index, { path }] of all.entries()) {
    const shape =
      path.segments === undefined ? path.text : path.segments.map((segment) => segment.literal ?? (segment.rest === undefined ? ':' : '*')).join('/');
    if (seen.has(shape)) report({ at: `[${index}].path`, got: path.text, must: 'a path that no route before it has' });
    seen.add(shape);
  }
}

function writeRoute(route: RouteConfig): Record<string, unknown> {
  if (route.kind === 'events') return writeEventsRoute(route);
  if (route.kind === 'consumer') return writeConsumerRoute(route);
  const common = { path: PATH.write(route.path), kind: route.kind, join: route.join, publish: route.publish };
  if (route.kind !== 'room') return common;
  return { ...common, frames: route.frames, on_gap: route.onGap, on_publish_failure: route.onPublishFailure };
}
