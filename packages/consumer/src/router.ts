import { classTarget, isConsumerClass } from './class-consumer.ts';
import type { ConsumerClass } from './consumer.ts';
import type { HttpTarget, LivingTarget, Params, SocketTarget, StatelessTarget } from './target.ts';

/** What can stand at a path: a consumer, a handler of HTTP, both in a list, or a router for what follows. */
export type Routable =
  | ConsumerClass
  | LivingTarget
  | StatelessTarget
  | HttpTarget
  | Router
  | readonly (ConsumerClass | LivingTarget | StatelessTarget | HttpTarget)[];

export interface Found<T> {
  readonly target: T;
  readonly params: Params;
}

interface RoutePattern {
  readonly segments: readonly string[];
  /** Whether the path may go on: `*` at the end, or a router. */
  readonly isOpen: boolean;
  /** Whether what it goes on with is the parameter `rest`. */
  readonly hasRest: boolean;
  readonly socket: SocketTarget | undefined;
  readonly http: HttpTarget | undefined;
  readonly router: Router | undefined;
}

/**
 * Finds the handler of a path: the first that matches, in the order in which they stand. `/chat/:room` names a part, `/files/*` takes the rest as `rest`, and a
 * router at `/api` gets what follows it.
 * @throws TypeError for a path that does not begin with a slash, or something that can handle nothing
 */
export function router(routes: Readonly<Record<string, Routable>>): Router {
  return new Router(Object.entries(routes).map(([path, at]) => entry(path, at)));
}

export class Router {
  readonly #entries: readonly RoutePattern[];

  /** Use {@link router}. */
  constructor(entries: readonly RoutePattern[]) {
    this.#entries = entries;
  }

  /** The handler of sockets at this path. */
  socket(path: string): Found<SocketTarget> | undefined {
    return this.#find(partsOf(path), {}, (at) => at.socket);
  }

  /** The handler of plain requests at this path. */
  http(path: string): Found<HttpTarget> | undefined {
    return this.#find(partsOf(path), {}, (at) => at.http);
  }

  #find<T>(parts: readonly string[], outer: Params, pick: (entry: RoutePattern) => T | undefined): Found<T> | undefined {
    for (const at of this.#entries) {
      const params = match(at, parts);
      if (params === undefined) continue;
      const all = { ...outer, ...params };
      const found = at.router === undefined ? own(pick(at), all) : at.router.#find(parts.slice(at.segments.length), all, pick);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** Whatever a module exports, as a router: what is no router stands at every path, with the parameters of the gateway's route alone. */
export function asRouter(exported: unknown): Router | undefined {
  if (exported instanceof Router) return exported;
  return isRoutable(exported) ? new Router([{ ...entry('/*', exported), hasRest: false }]) : undefined;
}

function own<T>(target: T | undefined, params: Params): Found<T> | undefined {
  return target === undefined ? undefined : { target, params };
}

function entry(path: string, at: Routable): RoutePattern {
  if (!path.startsWith('/')) throw new TypeError(`a path must begin with a slash, not ${JSON.stringify(path)}`);
  const parts = partsOf(path);
  const hasRest = parts.at(-1) === '*';
  const segments = hasRest ? parts.slice(0, -1) : parts;
  if (at instanceof Router) return { segments, isOpen: true, hasRest: false, socket: undefined, http: undefined, router: at };
  const targets = (Array.isArray(at) ? (at as readonly unknown[]) : [at]).map((one) => targetOf(path, one));
  const sockets = targets.filter((target) => target.kind !== 'http');
  const https = targets.filter((target) => target.kind === 'http');
  if (sockets.length > 1 || https.length > 1) throw new TypeError(`at ${path} there is more than one handler of the same kind`);
  return { segments, isOpen: hasRest, hasRest, socket: sockets[0], http: https[0], router: undefined };
}

function targetOf(path: string, one: unknown): SocketTarget | HttpTarget {
  if (isConsumerClass(one)) return classTarget(one);
  if (isTarget(one)) return one;
  throw new TypeError(`at ${path} stands neither a Consumer class nor what consumer(), handlers(), http() or router() made`);
}

function match({ segments, isOpen, hasRest }: RoutePattern, parts: readonly string[]): Params | undefined {
  if (isOpen ? parts.length < segments.length : parts.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const part = parts[index] ?? '';
    if (segment.startsWith(':')) params[segment.slice(1)] = part;
    else if (segment !== part) return undefined;
  }
  if (hasRest) params['rest'] = parts.slice(segments.length).join('/');
  return params;
}

function partsOf(path: string): readonly string[] {
  return path === '/' ? [] : path.slice(1).split('/');
}

function isTarget(value: unknown): value is SocketTarget | HttpTarget {
  const kind: unknown = typeof value === 'object' && value !== null ? (value as { readonly kind?: unknown }).kind : undefined;
  return kind === 'living' || kind === 'stateless' || kind === 'http';
}

function isRoutable(value: unknown): value is Routable {
  return Array.isArray(value) ? value.length > 0 && value.every((one) => isConsumerClass(one) || isTarget(one)) : isConsumerClass(value) || isTarget(value);
}
