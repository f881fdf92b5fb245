import fc from 'fast-check';
import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import { Addresses, networkOf, plainAddress } from '../src/net/addresses.ts';
import { Clients, setPeer } from '../src/net/clients.ts';
import { readForwarded } from '../src/net/forwarded.ts';
import { readProxyHeader } from '../src/net/proxy-protocol.ts';

const TRUSTED = ['127.0.0.1', '10.0.0.0/8', 'fd00::/8'];
const clients = new Clients(TRUSTED);

/** As Node has it: names in lower case, what came twice in one line. */
function asked(from: string, headers: Record<string, string> = {}): IncomingMessage {
  return { socket: { remoteAddress: from, remotePort: 1234 }, headers } as unknown as IncomingMessage;
}

const addressOf = (from: string, headers: Record<string, string>): string => clients.of(asked(from, headers)).address;

describe('who asks', () => {
  test.each([
    ['nobody between', '192.0.2.1', '198.51.100.9', '192.0.2.1'],
    ['one proxy', '127.0.0.1', '198.51.100.9', '198.51.100.9'],
    ['one proxy, seen by a listener on every interface', '::ffff:127.0.0.1', '198.51.100.9', '198.51.100.9'],
    ['what the client wrote itself stands farther left', '127.0.0.1', '8.8.8.8, 198.51.100.9', '198.51.100.9'],
    ['two proxies', '127.0.0.1', '8.8.8.8, 198.51.100.9, 10.1.2.3', '198.51.100.9'],
    ['a proxy that is not trusted ends it', '127.0.0.1', '198.51.100.9, 203.0.113.5, 10.1.2.3', '203.0.113.5'],
    ['only proxies', '127.0.0.1', '10.0.0.2, 10.0.0.1', '10.0.0.2'],
    ['a proxy that does not say', '127.0.0.1', '198.51.100.9, unknown', '127.0.0.1'],
    ['nothing of it is an address', '127.0.0.1', '<script>', '127.0.0.1'],
    ['an empty one', '127.0.0.1', '', '127.0.0.1'],
    ['with a port', '127.0.0.1', '198.51.100.9:5555', '198.51.100.9'],
    ['IPv6', '127.0.0.1', '2001:DB8:0:0::7', '2001:db8::7'],
    ['IPv6 with a port', '127.0.0.1', '[2001:db8::7]:443', '2001:db8::7'],
    ['a port that is none', '127.0.0.1', '198.51.100.9:99999', '127.0.0.1'],
    ['an IPv4 address written as IPv6', '127.0.0.1', '::ffff:198.51.100.9', '198.51.100.9'],
  ])('X-Forwarded-For, %s: from %s with %j it is %s', (_, from, header, expected) => {
    expect(addressOf(from, { 'x-forwarded-for': header })).toBe(expected);
  });

  test.each([
    ['for=198.51.100.9', '198.51.100.9'],
    ['For="[2001:db8::1]:4711"', '2001:db8::1'],
    ['for=8.8.8.8, for=198.51.100.9;by=10.0.0.1;proto=https', '198.51.100.9'],
    ['for=8.8.8.8,for=198.51.100.9 , for=10.0.0.9', '198.51.100.9'],
    ['for=198.51.100.9, for=unknown', '127.0.0.1'],
    ['for=198.51.100.9, for="_hidden"', '127.0.0.1'],
    ['for="198.51.100.9\\"', '127.0.0.1'],
    ['for=8.8.8.8;for=198.51.100.9', '127.0.0.1'],
    ['for=198.51.100.9 by=x', '127.0.0.1'],
    ['by=10.0.0.1', '127.0.0.1'],
    ['for=198.51.100.9 , ,', '198.51.100.9'],
    [', for=8.8.8.8,,\tfor=198.51.100.9', '198.51.100.9'],
    ['', '127.0.0.1'],
  ])('Forwarded %j from a proxy: %s', (header, expected) => {
    expect(addressOf('127.0.0.1', { forwarded: header })).toBe(expected);
    expect(addressOf('192.0.2.1', { forwarded: header })).toBe('192.0.2.1');
  });

  test('of both headers X-Forwarded-For is believed, since most proxies hand on a Forwarded that the client made', () => {
    expect(addressOf('127.0.0.1', { 'x-forwarded-for': '198.51.100.9', forwarded: 'for=8.8.8.8' })).toBe('198.51.100.9');
  });

  test.each([
    [{ 'x-forwarded-proto': 'https' }, 'https'],
    [{ 'x-forwarded-proto': 'HTTPS' }, 'https'],
    [{ 'x-forwarded-proto': 'http' }, 'http'],
    [{ 'x-forwarded-proto': 'gopher' }, 'http'],
    [{ 'x-forwarded-proto': 'https, http', 'x-forwarded-for': '198.51.100.9' }, 'http'],
    [{ 'x-forwarded-proto': 'https, http', 'x-forwarded-for': '198.51.100.9, 10.0.0.1' }, 'https'],
    [{ 'x-forwarded-proto': 'https', 'x-forwarded-for': '198.51.100.9, 10.0.0.1' }, 'https'],
    [{ forwarded: 'for=198.51.100.9;proto=https' }, 'https'],
    [{ forwarded: 'for=8.8.8.8;proto=https, for=198.51.100.9' }, 'http'],
    [{}, 'http'],
  ])('over what, by %j of a proxy: %s', (headers, expected) => {
    expect(clients.of(asked('127.0.0.1', headers)).scheme).toBe(expected);
    expect(clients.of(asked('192.0.2.1', headers)).scheme).toBe('http');
  });

  test('who stands before the connection is believed what it says, as the connection itself is', () => {
    const request = asked('127.0.0.1', { 'x-forwarded-for': '8.8.8.8' });
    setPeer(request.socket, { address: '198.51.100.9', port: 77 });
    expect(clients.of(request)).toEqual({ address: '198.51.100.9', port: 77, scheme: 'http' });
    setPeer(request.socket, { address: '10.0.0.4', port: 77 });
    expect(clients.of(request).address).toBe('8.8.8.8');
  });

  test('whatever a client writes, its own address is what the nearest proxy adds', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (written) => {
        expect(addressOf('127.0.0.1', { 'x-forwarded-for': `${written}, 198.51.100.9` })).toBe('198.51.100.9');
      }),
    );
  });

  test('any Forwarded is read in time that grows with its length, or not at all', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom('"', '\\', ';', ',', '=', ' ', 'for', 'a', '[', ':') }), (written) => void readForwarded(written)));
    const before = performance.now();
    for (const piece of ['a=b;', '"\\', ' ', 'for="', ';,', 'a'])
      for (const end of ['', 'x', ' x']) readForwarded(`${piece.repeat(65_536 / piece.length)}${end}`);
    expect(performance.now() - before).toBeLessThan(500);
  });
});

describe('addresses', () => {
  test('in a list, and in networks', () => {
    const listed = new Addresses(TRUSTED);
    expect(['127.0.0.1', '10.255.0.1', 'fd12::1'].every((address) => listed.has(address))).toBe(true);
    expect(['127.0.0.2', '11.0.0.1', 'fe80::1', '', 'x'].some((address) => listed.has(address))).toBe(false);
  });

  test.each([
    ['198.51.100.9', '198.51.100.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['64:ff9b::198.51.100.9', '64:ff9b:0:0::/64'],
    ['1::2:3:4:5:6:7', '1:0:2:3::/64'],
    ['', ''],
  ])('%s counts as %s', (address, expected) => {
    expect(networkOf(plainAddress(address))).toBe(expected);
  });

  test('all addresses of a /64 count as one, and no two /64s do', () => {
    const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
    const groups = (count: number): fc.Arbitrary<string> => fc.array(group, { minLength: count, maxLength: count }).map((all) => all.join(':'));
    fc.assert(
      fc.property(groups(4), groups(4), groups(4), groups(4), (network, host, other, otherNetwork) => {
        expect(networkOf(plainAddress(`${network}:${host}`))).toBe(networkOf(plainAddress(`${network}:${other}`)));
        if (network !== otherNetwork) expect(networkOf(plainAddress(`${network}:${host}`))).not.toBe(networkOf(plainAddress(`${otherNetwork}:${host}`)));
      }),
    );
  });
});

const SIGNATURE = '0d0a0d0a000d0a515549540a';

/** Version 2, from what stands behind its signature. */
const binary = (rest: string): Buffer => Buffer.from(`${SIGNATURE}${rest.replaceAll(' ', '')}`, 'hex');

describe('the PROXY protocol', () => {
  test.each([
    ['PROXY TCP4 198.51.100.9 10.0.0.1 5555 443\r\n', '198.51.100.9', 5555],
    ['PROXY TCP6 2001:DB8::9 fd00::1 5555 443\r\n', '2001:db8::9', 5555],
    ['PROXY UNKNOWN\r\n', undefined, undefined],
    ['PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n', undefined, undefined],
  ])('version 1: %j', (line, address, port) => {
    const from = address === undefined ? undefined : { address, port };
    expect(readProxyHeader(Buffer.from(`${line}GET / HTTP/1.1\r\n`))).toEqual({ length: line.length, from });
  });

  test.each([
    ['21 11 000c c6336409 0a000001 15b3 01bb', { address: '198.51.100.9', port: 5555 }],
    [`21 21 0024 ${'20010db8000000000000000000000009'} ${'fd000000000000000000000000000001'} 15b3 01bb`, { address: '2001:db8::9', port: 5555 }],
    ['21 11 0011 c6336409 0a000001 15b3 01bb 04 0002 0000', { address: '198.51.100.9', port: 5555 }],
    ['20 00 0000', undefined],
    ['20 11 000c c6336409 0a000001 15b3 01bb', undefined],
    ['21 00 0000', undefined],
    ['21 31 0002 aaaa', undefined],
  ])('version 2: %s', (rest, from) => {
    const header = binary(rest);
    expect(readProxyHeader(Buffer.concat([header, Buffer.from('GET')]))).toEqual({ length: header.length, from });
  });

  test.each([
    ['GET / HTTP/1.1\r\n'],
    ['PROXY TCP4 2001:db8::9 10.0.0.1 5555 443\r\n'],
    ['PROXY TCP4 198.51.100.9 10.0.0.1 5555 99999\r\n'],
    ['PROXY TCP4 198.51.100.9 10.0.0.1 5555\r\n'],
    ['PROXY TCP4  198.51.100.9 10.0.0.1 5555 443\r\n'],
    ['PROXY TCP5 198.51.100.9 10.0.0.1 5555 443\r\n'],
    [`PROXY TCP4 ${'1'.repeat(200)}`],
    ['proxy tcp4 198.51.100.9 10.0.0.1 5555 443\r\n'],
    ['\r\n\r\n\0\r\nQUIX\n'],
    [binary('11 11 000c c6336409 0a000001 15b3 01bb')],
    [binary('22 11 000c c6336409 0a000001 15b3 01bb')],
    [binary('21 11 000b c6336409 0a000001 15b3 01')],
    [binary('21 11 ffff c6336409 0a000001 15b3 01bb')],
  ])('is not %j', (bytes) => {
    expect(readProxyHeader(Buffer.from(bytes as string))).toBe('bad');
  });

  test('of what is not whole yet nothing is said, however it is cut', () => {
    for (const whole of [Buffer.from('PROXY TCP4 198.51.100.9 10.0.0.1 5555 443\r\n'), binary('21 11 000c c6336409 0a000001 15b3 01bb')])
      for (let length = 0; length < whole.length; length += 1) expect(readProxyHeader(whole.subarray(0, length))).toBe('more');
  });

  test('whatever the bytes are, they are a header, none, or the beginning of one', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ maxLength: 60 }).map((rest) => Buffer.concat([binary('21'), rest])),
      fc.string({ maxLength: 110 }).map((rest) => Buffer.from(`PROXY ${rest}`)),
    );
    fc.assert(
      fc.property(bytes, (given) => {
        const read = readProxyHeader(Buffer.from(given));
        if (typeof read === 'string') expect(['more', 'bad']).toContain(read);
        else expect(read.length).toBeLessThanOrEqual(given.length);
      }),
    );
  });
});
