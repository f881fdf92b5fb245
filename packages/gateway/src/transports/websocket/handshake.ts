import type { IncomingMessage } from 'node:http';
import { isToken } from '@busgate/consumer/run';
import type { HttpErrorKey } from '../../errors.ts';

const KEY = /^[+/0-9A-Za-z]{22}==$/;

/** Whether an upgrade to a WebSocket is asked for, be it among others. */
export function asksForWebSocket({ upgrade = '' }: IncomingMessage['headers']): boolean {
  return /(?:^|[\s,])websocket(?:$|[\s,/])/i.test(upgrade);
}

/**
 * What is wrong with an upgrade request as RFC 6455 section 4.2.1 has it; `ws` is more lenient than a gateway behind proxies may be: it takes
 * version 8, whose origin stands in another header, and reads a body as frames.
 *
 * `mayRepeat`: subprotocols that may be offered twice, since somebody else refuses that.
 */
export function handshakeFault(request: IncomingMessage, mayRepeat: (subprotocol: string) => boolean): HttpErrorKey | undefined {
  const { headers } = request;
  if (headers.upgrade?.toLowerCase() !== 'websocket') return 'bad_request';
  if (headers['sec-websocket-version'] !== '13') return 'version';
  const key = headers['sec-websocket-key'];
  if (key === undefined || !KEY.test(key)) return 'bad_key';
  return offersWellFormed(headers['sec-websocket-protocol'], mayRepeat) ? undefined : 'bad_request';
}

/** Each token once, none empty. */
function offersWellFormed(header: string | undefined, mayRepeat: (subprotocol: string) => boolean): boolean {
  if (header === undefined) return true;
  const seen = new Set<string>();
  for (const item of header.split(',')) {
    const token = item.trim();
    if (!isToken(token) || (seen.has(token) && !mayRepeat(token))) return false;
    seen.add(token);
  }
  return true;
}
