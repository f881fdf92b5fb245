// What a reply may say of a state and of headers: the gateway drops what does not keep to it, and the handler that would say it is told here.

/** Bytes of a state, as JSON. */
export const MAX_STATE = 4096;

/** A header's name, or a subprotocol (RFC 9110 section 5.6.2). */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** What a header's value may consist of (RFC 9110 section 5.5), as Latin-1. */
const FIELD_VALUE = /^[\t\u0020-\u007E\u0080-\u00FF]*$/;
/** They say how an answer ends, and what the connection becomes. */
const OWN_HEADERS: ReadonlySet<string> = new Set(['connection', 'upgrade', 'content-length', 'transfer-encoding']);
const OWN_PREFIX = 'sec-websocket-';

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

export function isFieldValue(text: string): boolean {
  return FIELD_VALUE.test(text);
}

/** Whether a header is the gateway's to write. `name` in lower case. */
export function isOwnHeader(name: string): boolean {
  return OWN_HEADERS.has(name) || name.startsWith(OWN_PREFIX);
}
