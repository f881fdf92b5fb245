import { Buffer } from 'node:buffer';

/** Levels of nesting: what is read here goes on to others. */
const MAX_DEPTH = 32;
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Reads an object in which no member stands twice, at any depth: of two, one reader takes the first and another one the last, so that a token says something else to each
 * (RFC 8725 section 2.4 and RFC 8259 section 4). Undefined for what is none.
 */
export function readObject(bytes: Uint8Array): JsonObject | undefined {
  try {
    const text = UTF8.decode(bytes);
    const value: unknown = JSON.parse(text);
    return isObject(value) && isPlain(text) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The same, in base64url. */
export function readEncodedObject(encoded: string): JsonObject | undefined {
  return readObject(Buffer.from(encoded, 'base64url'));
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether valid JSON is not nested too deeply and no member of it stands twice. */
function isPlain(json: string): boolean {
  const open: (Set<string> | undefined)[] = [];
  let isName = false;
  for (const [token] of json.matchAll(TOKENS)) {
    if (isName && token.startsWith('"') && isTwin(open.at(-1), token)) return false;
    nest(open, token);
    if (open.length > MAX_DEPTH) return false;
    isName = (token === '{' || token === ',') && open.at(-1) !== undefined;
  }
  return true;
}

/** Goes into an object, with the names of its members, or a list, or out of it. */
function nest(open: (Set<string> | undefined)[], token: string): void {
  if (token === '}' || token === ']') open.pop();
  else if (token === '{') open.push(new Set());
  else if (token === '[') open.push(undefined);
}

function isTwin(names: Set<string> | undefined, token: string): boolean {
  const name = JSON.parse(token) as string;
  if (names === undefined || names.has(name)) return names !== undefined;
  names.add(name);
  return false;
}
