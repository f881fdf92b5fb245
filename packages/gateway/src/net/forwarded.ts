import { isIP } from 'node:net';
import { plainAddress } from './addresses.ts';
import type { Endpoint } from './endpoint.ts';

/** What one proxy says of who asked it. */
export interface Hop {
  /** Undefined where it says nothing that is an address. */
  readonly from: Endpoint | undefined;
  /** As it was sent, in lower case; undefined where nothing is said. */
  readonly proto: string | undefined;
}

const BRACKETED = /^\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?$/;
const WITH_PORT = /^([0-9.]+):(\d{1,5})$/;

/** The hops of an `X-Forwarded-For` header, the nearest one last. */
export function readForwardedFor(header: string): Hop[] {
  return header.split(',').map((written) => ({ from: readNode(written.trim()), proto: undefined }));
}

/** The hops of a `Forwarded` header (RFC 7239 section 4), the nearest one last; none where it is malformed. An empty element of the list is none (RFC 9110 section 5.6.1). */
export function readForwarded(header: string): Hop[] {
  const hops: Hop[] = [];
  let pairs = new Map<string, string>();
  let at = header.length - header.trimStart().length;
  const take = (): void => {
    if (pairs.size === 0) return;
    hops.push({ from: readNode(pairs.get('for') ?? ''), proto: pairs.get('proto')?.toLowerCase() });
    pairs = new Map();
  };
  while (at < header.length) {
    PAIR.lastIndex = at;
    const [whole, name = '', token = '', quoted, separator] = PAIR.exec(header) ?? [];
    if (whole === undefined || pairs.has(name.toLowerCase())) return [];
    if (name !== '') pairs.set(name.toLowerCase(), quoted === undefined ? token : quoted.replaceAll(/\\(.)/gs, '$1'));
    at += whole.length;
    if (separator !== ';') take();
    if (separator === '' && at < header.length) return [];
  }
  return hops;
}

/** One pair, or none between two separators, and what follows it. */
const PAIR = /(?:([!#$%&'*+.^_`|~\w-]+)=(?:([!#$%&'*+.^_`|~\w-]+)|"((?:[^"\\]|\\.)*)"))?[ \t]*([,;]|$)[ \t]*/sy;

/** A node (RFC 7239 section 6), which some write with a port; undefined for one that hides itself, or is none. */
function readNode(written: string): Endpoint | undefined {
  if (isIP(written) > 0) return { address: plainAddress(written), port: 0 };
  const [, address = '', port = '0'] = BRACKETED.exec(written) ?? WITH_PORT.exec(written) ?? [];
  return isIP(address) > 0 && Number(port) <= 65_535 ? { address: plainAddress(address), port: Number(port) } : undefined;
}
