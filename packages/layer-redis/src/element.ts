import { Buffer } from 'node:buffer';

const MEMBER = '"__expires"';
const LAST = /([,{])"__expires":(\d+)\}$/;
const BRACE = 0x7d;

/** An element of a queue, taken apart: the message, and when it expires in milliseconds of Redis's clock; undefined for what a plain `RPUSH` brought. */
export interface Element {
  readonly payload: Uint8Array;
  readonly expiresAt: number | undefined;
}

/** Removes the extra member `__expires`, wherever it stands; the last one is ours and costs no parsing. */
export function readElement(element: Buffer): Element {
  const tail = LAST.exec(element.toString('latin1', Math.max(0, element.length - 40)));
  if (tail?.[2] !== undefined) {
    const end = element.length - tail[0].length + (tail[1] === '{' ? 1 : 0);
    const payload = Buffer.allocUnsafe(end + 1);
    element.copy(payload, 0, 0, end);
    payload[end] = BRACE;
    return { payload, expiresAt: Number(tail[2]) };
  }
  return element.includes(MEMBER) ? readForeign(element) : { payload: element, expiresAt: undefined };
}

/** What another program wrote, with the member somewhere else. */
function readForeign(element: Buffer): Element {
  try {
    const { __expires: expires, ...message } = JSON.parse(element.toString()) as Record<string, unknown>;
    return { payload: Buffer.from(JSON.stringify(message)), expiresAt: typeof expires === 'number' ? expires : undefined };
  } catch {
    return { payload: element, expiresAt: undefined };
  }
}
