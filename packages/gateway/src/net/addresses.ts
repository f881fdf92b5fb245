import { BlockList, isIP, SocketAddress } from 'node:net';

/** An IPv4 address that was written as an IPv6 one, as a listener on every interface sees it (RFC 4291 section 2.5.5.2). */
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
/** Groups of an IPv6 address that name a network: what is behind them is one customer's, who may use every address of it (RFC 6177). */
const NETWORK_GROUPS = 4;
const GROUPS = 8;

/** Addresses and networks, as the setting `trusted_proxies` has them. */
export class Addresses {
  readonly isEmpty: boolean;
  readonly #listed = new BlockList();

  /** `listed`: addresses, or networks such as `10.0.0.0/8`. */
  constructor(listed: readonly string[]) {
    this.isEmpty = listed.length === 0;
    for (const one of listed) {
      const [address = '', bits] = one.split('/');
      if (bits === undefined) this.#listed.addAddress(address, familyOf(address));
      else this.#listed.addSubnet(address, Number(bits), familyOf(address));
    }
  }

  /** `address` as {@link plainAddress} has it; false for what is none. */
  has(address: string): boolean {
    return isIP(address) > 0 && this.#listed.check(address, familyOf(address));
  }
}

/** Whether a text is an address, or a network as the number of its leading bits says it. */
export function isNetwork(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || address.includes('%') || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

/** An address in its one spelling: an IPv4 one as such however it came, an IPv6 one in its shortest form (RFC 5952) and without a zone. What is no address stays as it is. */
export function plainAddress(written: string): string {
  const address = written.replace(/%.*$/s, '');
  if (isIP(address) !== 6) return address;
  const shortest = new SocketAddress({ address, family: 'ipv6' }).address;
  return MAPPED.exec(shortest)?.[1] ?? shortest;
}

/** What limits count a plain address as: an IPv6 one by its /64. */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail] = address.split('::');
  const before = groupsOf(head);
  const after = groupsOf(tail ?? '');
  const zeros = tail === undefined ? 0 : GROUPS - before.length - after.length;
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  return `${groups.slice(0, NETWORK_GROUPS).join(':')}::/64`;
}

/** An IPv4 address at the end is two groups, whose value is never asked for: they are the last. */
function groupsOf(part: string): string[] {
  return part === '' ? [] : part.split(':').flatMap((group) => (group.includes('.') ? ['0', '0'] : [group]));
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}
