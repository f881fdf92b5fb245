const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const COMMA = 0x2c;
const SPACE = 0x20;

/** Whether brackets and braces nest deeper than `max`, in JSON or in anything else. */
export function isDeeperThan(json: string, max: number): boolean {
  let depth = 0;
  for (let index = 0; index < json.length; index += 1) {
    switch (json.charCodeAt(index)) {
      case QUOTE:
        index = endOfString(json, index) - 1;
        break;
      case OPEN_BRACKET:
      case OPEN_BRACE:
        depth += 1;
        if (depth > max) return true;
        break;
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        depth -= 1;
        break;
      default:
    }
  }
  return false;
}

/**
 * The text of one member of a JSON object as it was sent: numbers and spacing stay what they are. Of several with the name the last, like
 * `JSON.parse`. `json` must be valid.
 */
export function sourceOf(json: string, member: string): string | undefined {
  let found: string | undefined;
  let index = skipSpace(json, json.indexOf('{') + 1);
  while (json.charCodeAt(index) === QUOTE) {
    const endOfName = endOfString(json, index);
    const name = JSON.parse(json.slice(index, endOfName)) as string;
    const start = skipSpace(json, json.indexOf(':', endOfName) + 1);
    const end = endOfValue(json, start);
    if (name === member) found = json.slice(start, end).trimEnd();
    index = skipSpace(json, end + 1);
  }
  return found;
}

/** The texts of the elements of a JSON array, as they were sent. `json` must be valid. */
export function elementsOf(json: string): string[] {
  const elements: string[] = [];
  let start = skipSpace(json, json.indexOf('[') + 1);
  while (json.charCodeAt(start) !== CLOSE_BRACKET) {
    const end = endOfValue(json, start);
    elements.push(json.slice(start, end).trimEnd());
    if (json.charCodeAt(end) === CLOSE_BRACKET) break;
    start = skipSpace(json, end + 1);
  }
  return elements;
}

/** Replaces the escapes of lone surrogates, which not every language can carry, by that of U+FFFD. Text that holds none comes back as it is. */
export function withoutLoneSurrogates(json: string): string {
  if (!/\\u[dD][89a-fA-F]/.test(json)) return json;
  return json.replaceAll(/\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\./g, (escape) =>
    escape.length === 6 ? String.raw`\ufffd` : escape,
  );
}

/** Where the value that begins at `start` is followed by a comma or the end of what holds it, outside of itself. */
function endOfValue(json: string, start: number): number {
  let depth = 0;
  for (let index = start; index < json.length; index += 1) {
    const char = json.charCodeAt(index);
    if (char === QUOTE) index = endOfString(json, index) - 1;
    else if (char === OPEN_BRACKET || char === OPEN_BRACE) depth += 1;
    else if (depth === 0 && (char === COMMA || char === CLOSE_BRACE || char === CLOSE_BRACKET)) return index;
    else if (char === CLOSE_BRACKET || char === CLOSE_BRACE) depth -= 1;
  }
  return json.length;
}

/** Just behind the closing quote of the string that opens at `start`. */
function endOfString(json: string, start: number): number {
  let end = json.indexOf('"', start + 1);
  while (end !== -1 && isEscaped(json, end)) end = json.indexOf('"', end + 1);
  return end === -1 ? json.length : end + 1;
}

function isEscaped(json: string, at: number): boolean {
  let backslashes = 0;
  while (json.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
  return backslashes % 2 === 1;
}

function skipSpace(json: string, from: number): number {
  let index = from;
  while (index < json.length && json.charCodeAt(index) <= SPACE) index += 1;
  return index;
}
