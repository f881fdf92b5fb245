import type { PathPattern } from '../config/path.ts';
import type { Params, Route } from './route.ts';

export interface Match {
  readonly route: Route;
  readonly params: Params;
}

/** Finds the route of a path: the first that matches. A path's literal parts match as they stand, its parameters are decoded, so that an encoded slash separates nothing. */
export class Router {
  readonly #routes: readonly Route[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes;
  }

  /** `path` begins with a slash, has no query, and its escapes are valid. */
  match(path: string): Match | undefined {
    const parts = path.slice(1).split('/');
    for (const route of this.#routes) {
      const params = matchPattern(route.path, path, parts);
      if (params !== undefined) return { route, params };
    }
    return undefined;
  }
}

function matchPattern(pattern: PathPattern, path: string, parts: readonly string[]): Params | undefined {
  const params: Record<string, string> = Object.create(null) as Record<string, string>;
  if (pattern.expression !== undefined) {
    const matcher = pattern.expression.matcher(path);
    if (!matcher.matches()) return undefined;
    for (const name of Object.keys(pattern.expression.namedGroups())) params[name] = decodeURIComponent(matcher.group(name) ?? '');
    return params;
  }
  const { segments } = pattern;
  if (segments.length === 0) return path === '/' ? params : undefined;
  if (segments.length !== parts.length) return undefined;
  for (const [index, segment] of segments.entries()) {
    const part = parts[index] ?? '';
    if (segment.param !== undefined) params[segment.param] = decodeURIComponent(part);
    else if (segment.literal !== part) return undefined;
  }
  return params;
}
