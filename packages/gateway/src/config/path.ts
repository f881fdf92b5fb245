import { RE2JS } from 're2js';
import type { Report, ValueType } from './types.ts';

/** One part of a path between slashes: a literal one (empty behind a last slash), a parameter that stands for exactly one, or, at the end, all that follow. */
type PathSegment =
  | { readonly literal: string; readonly param?: never; readonly rest?: never }
  | { readonly param: string; readonly literal?: never; readonly rest?: never }
  | { readonly rest: typeof REST; readonly literal?: never; readonly param?: never };

/**
 * A route's path: segments, or a regular expression over the whole path. Expressions are RE2's, which match in time linear in the path's length
 * whatever they look like, and so have neither backreferences nor lookaround.
 */
export type PathPattern =
  | { readonly text: string; readonly segments: readonly PathSegment[]; readonly expression?: never }
  | { readonly text: string; readonly expression: RE2JS; readonly segments?: never };

/** The parameter that holds what `*` stands for. */
const REST = 'rest';

const MAX_LENGTH = 512;
const MAX_SEGMENTS = 16;
const LITERAL = /^[A-Za-z0-9._~-]+$/;
const PARAM = /^:[a-z][A-Za-z0-9_]*$/;

const REGEX_EXAMPLE = '{regex: "^/r/(?<room>[a-z]+)$"}';
const RULE = `a path such as /room/:room, or a regular expression over the whole path, from ^ to $, such as ${REGEX_EXAMPLE}`;

/** Any path. */
export const PATH: ValueType<PathPattern> = {
  name: 'path',
  allowed: RULE,
  read(raw, report) {
    const regex = regexOf(raw);
    const text = regex ?? raw;
    if (typeof text !== 'string' || text.length > MAX_LENGTH) report({ got: raw, must: `${RULE}, of at most ${MAX_LENGTH} characters` });
    else if (regex !== undefined || text.startsWith('^')) return readExpression(text, report);
    else if (text.startsWith('/')) return readSegments(text, report);
    else report({ got: raw, must: RULE });
    return undefined;
  },
  write: (value) => (value.expression === undefined ? value.text : { regex: value.text }),
};

/** What `{regex: …}` holds, and nothing besides. */
function regexOf(raw: unknown): unknown {
  if (typeof raw !== 'object' || raw === null) return undefined;
  const members = Object.entries(raw);
  return members.length === 1 && members[0]?.[0] === 'regex' ? members[0][1] : undefined;
}

/** A path that gives just what a kind of route needs. */
export const PATH_OF: Readonly<Record<'room' | 'multiplex', ValueType<PathPattern>>> = {
  room: pathWith('room', 'a path with the one parameter room, such as /room/:room'),
  multiplex: pathWith('', 'a path without parameters, such as /socket'),
};

function pathWith(params: string, must: string): ValueType<PathPattern> {
  return {
    ...PATH,
    read(raw, report) {
      const path = PATH.read(raw, report);
      if (path === undefined || paramsOf(path).join(' ') === params) return path;
      report({ got: raw, must });
      return undefined;
    },
  };
}

function paramsOf(path: PathPattern): readonly string[] {
  if (path.expression !== undefined) return Object.keys(path.expression.namedGroups());
  return path.segments.flatMap((segment) => segment.param ?? segment.rest ?? []);
}

function readExpression(text: string, report: Report): PathPattern | undefined {
  if (!text.startsWith('^') || !text.endsWith('$')) {
    report({ got: text, must: 'a regular expression over the whole path, from ^ to $' });
    return undefined;
  }
  try {
    return { text, expression: RE2JS.compile(text) };
  } catch (error) {
    report({ got: text, must: `a regular expression in RE2 syntax, without backreferences and lookaround (${messageOf(error)})` });
    return undefined;
  }
}

function readSegments(text: string, report: Report): PathPattern | undefined {
  const parts = text.slice(1).split('/');
  const fault = faultOfSegments(parts);
  if (fault !== undefined) {
    report({ got: text, must: fault });
    return undefined;
  }
  return { text, segments: parts.map(segmentOf) };
}

function segmentOf(part: string): PathSegment {
  if (part === '*') return { rest: REST };
  return part.startsWith(':') ? { param: part.slice(1) } : { literal: part };
}

function faultOfSegments(parts: readonly string[]): string | undefined {
  if (parts.length > MAX_SEGMENTS) return `a path of at most ${MAX_SEGMENTS} segments`;
  const last = parts.length - 1;
  const bad = parts.find((part, index) => part === '.' || part === '..' || !(LITERAL.test(part) || PARAM.test(part) || (index === last && /^\*?$/.test(part))));
  if (bad !== undefined) {
    return `a path whose segments are letters, digits and . _ ~ -, or a parameter such as :room; at its end may stand a slash, or * for all that follows; any other path is a regular expression such as ${REGEX_EXAMPLE}`;
  }
  const params = parts.flatMap((part) => (part === '*' ? `:${REST}` : part.startsWith(':') ? part : []));
  return new Set(params).size === params.length ? undefined : 'a path in which each parameter has its own name';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
