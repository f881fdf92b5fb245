import { resolve } from 'node:path';
import { complete, type MemberReader } from './members.ts';
import type { PathPattern } from './path.ts';
import { duration, oneOf, text, toggle, type ValueType } from './types.ts';

/** Sockets, and requests where it says so, whose handlers run in the gateway's own process. Times in milliseconds. */
export interface ConsumerRouteConfig {
  readonly kind: 'consumer';
  readonly path: PathPattern;
  /** The file that exports the handlers; absolute. */
  readonly module: string;
  /** Whether plain HTTP requests of the path have handlers, too. */
  readonly http: boolean;
  readonly acceptTimeout: number;
  readonly handlerTimeout: number;
  /** The frame that a message of a room becomes. */
  readonly frames: 'auto' | 'text' | 'binary';
}

const MODULE = text('a file that exports consumers, such as ./chat.ts, relative to the file of settings', 'FILE', (value) => value !== '');
const TIMEOUT = duration('100ms', '1h');
const FRAMES = oneOf('auto', 'text', 'binary');

const MEMBERS = ['path', 'kind', 'module', 'http', 'accept_timeout', 'handler_timeout', 'frames'];

const SECONDS = 1000;

/** `directory`: what the module is relative to. */
export function readConsumerRoute(members: MemberReader, path: ValueType<PathPattern>, directory: string): ConsumerRouteConfig | undefined {
  members.refuseOthers('a consumer route', MEMBERS);
  const module = members.take('module', MODULE);
  return complete<ConsumerRouteConfig>({
    kind: 'consumer',
    path: members.take('path', path),
    module: module === undefined ? undefined : resolve(directory, module),
    http: members.take('http', toggle, false),
    acceptTimeout: members.take('accept_timeout', TIMEOUT, 10 * SECONDS),
    handlerTimeout: members.take('handler_timeout', TIMEOUT, 30 * SECONDS),
    frames: members.take('frames', FRAMES, 'auto'),
  });
}

/** As the file would say it. */
export function writeConsumerRoute(route: ConsumerRouteConfig): Record<string, unknown> {
  return {
    path: route.path.text,
    kind: route.kind,
    module: route.module,
    http: route.http,
    accept_timeout: TIMEOUT.write(route.acceptTimeout),
    handler_timeout: TIMEOUT.write(route.handlerTimeout),
    frames: route.frames,
  };
}
