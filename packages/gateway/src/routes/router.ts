import type { RE2JS } from 're2js';
import type { PathPattern } from '../config/path.ts';
import type { Params } from './request.ts';
import type { Route } from './route.ts';

type Segments = NonNullable<PathPattern['segments']>;

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
      const { segments, expression } = route.path;
      const params = segments === undefined ? matchExpression(expression, path) : matchSegments(segments, parts);
      if (params !== undefined) return { route, params };
    }
    return undefined;
  }
}

function matchSegments(segments: Segments, parts: readonly string[]): Params | undefined {
  if (segments.at(-1)?.rest === undefined ? segments.length !== parts.length : segments.length > parts.length) return undefined;
  const params: Record<string, string> = {};
  for (let index = 0; index < segments.length; index += 1) {
    const { literal, param, rest } = segments[index] as Segments[number];
    const part = parts[index] ?? '';
    if (rest !== undefined) params[rest] = parts.slice(index).map(decode).join('/');
    else if (param !== undefined) params[param] = decode(part);
    else if (literal !== part) return undefined;
  }
  return params;
}

function matchExpression(expression: RE2JS, path: string): Params | undefined {
  const matcher = expression.matcher(path);
  if (!matcher.matches()) return undefined;
  const params: Record<string, string> = {};
  for (const name of Object.keys(expression.namedGroups())) {
    const group = matcher.group(name) ?? '';
    if (!isWhole(group)) return undefined;
    params[name] = decode(group);
  }
  return params;
}

/** A group may end within an escape, or within the escapes of one letter: that is no match. */
function isWhole(group: string): boolean {
  if (!group.includes('%')) return true;
  try {
    decodeURIComponent(group);
    return true;
  } catch {
    return false;
  }
}

function decode(part: string): string {
  return part.includes('%') ? decodeURIComponent(part) : part;
}
