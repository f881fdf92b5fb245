import { Buffer } from 'node:buffer';
import { isIP, SocketAddress } from 'node:net';
import { plainAddress } from './addresses.ts';
import type { Endpoint } from './endpoint.ts';

/** What stands before the bytes of a client whose connection a proxy hands on (HAProxy's PROXY protocol, versions 1 and 2). */
export interface ProxyHeader {
  /** Bytes of it. */
  readonly length: number;
  /** The client; undefined where the proxy speaks for itself, as its health checks do, or names a client without an address. */
  readonly from: Endpoint | undefined;
}

/** Section 2.1: a line of at most 107 bytes. */
const TEXT_PREFIX = Buffer.from('PROXY ');
const MAX_TEXT = 107;
/** Section 2.2: what no other protocol begins with. */
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n');
const BINARY_HEAD = 16;
/** What may follow the addresses says nothing that is asked for here. */
const MAX_BINARY = 4096;

const LOCAL = 0x20;
const PROXY = 0x21;
const TCP4 = 0x11;
const TCP6 = 0x21;

const LINE = /^PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (\d{1,5}) (\d{1,5})$/;
const UNKNOWN = /^PROXY UNKNOWN(?: .*)?$/s;

/** Reads it off the first bytes of a connection: `more` where it is not whole yet, `bad` where these are no such bytes. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  if (begins(bytes, TEXT_PREFIX)) return readText(bytes);
  return begins(bytes, SIGNATURE) ? readBinary(bytes) : 'bad';
}

/** As far as there are bytes of either. */
function begins(bytes: Buffer, prefix: Buffer): boolean {
  const length = Math.min(bytes.length, prefix.length);
  return bytes.subarray(0, length).equals(prefix.subarray(0, length));
}

function readText(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  const end = bytes.subarray(0, MAX_TEXT).indexOf('\r\n');
  if (end === -1) return bytes.length >= MAX_TEXT ? 'bad' : 'more';
  const line = bytes.toString('latin1', 0, end);
  if (UNKNOWN.test(line)) return { length: end + 2, from: undefined };
  const [, kind, address = '', to = '', port, toPort] = LINE.exec(line) ?? [];
  const family = kind === 'TCP4' ? 4 : 6;
  if (isIP(address) !== family || isIP(to) !== family || Number(port) > 65_535 || Number(toPort) > 65_535) return 'bad';
  return { length: end + 2, from: { address: plainAddress(address), port: Number(port) } };
}

function readBinary(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  if (bytes.length < BINARY_HEAD) return 'more';
  const command = bytes[12];
  const length = BINARY_HEAD + bytes.readUInt16BE(14);
  if ((command !== LOCAL && command !== PROXY) || length > MAX_BINARY) return 'bad';
  if (bytes.length < length) return 'more';
  if (command === LOCAL) return { length, from: undefined };
  return readSource(bytes.subarray(BINARY_HEAD, length), bytes[13] ?? 0, length);
}

/** Both addresses and then both ports, the client's first. Of any other family, such as a Unix socket, nothing is known. */
function readSource(body: Buffer, kind: number, length: number): ProxyHeader | 'bad' {
  if (kind !== TCP4 && kind !== TCP6) return { length, from: undefined };
  const size = kind === TCP4 ? 4 : 16;
  if (body.length < 2 * size + 4) return 'bad';
  const address = kind === TCP4 ? [...body.subarray(0, 4)].join('.') : groupsOf(body.subarray(0, 16));
  return { length, from: { address: plainAddress(address), port: body.readUInt16BE(2 * size) } };
}

function groupsOf(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16));
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}
