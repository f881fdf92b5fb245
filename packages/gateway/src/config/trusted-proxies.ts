import { isNetwork } from '../net/addresses.ts';
import { itemsOf, readItems } from './members.ts';
import type { Report, ValueType } from './types.ts';

const ALLOWED = 'a list of addresses and networks, such as 127.0.0.1, 10.0.0.0/8, fd00::/8';

/** Addresses, and networks by the number of their leading bits. */
export const trustedProxies: ValueType<readonly string[]> = {
  name: 'list',
  allowed: ALLOWED,
  placeholder: 'ADDRESS,ADDRESS',
  read(raw, report) {
    const items = itemsOf(raw);
    if (items !== undefined) return readItems(items, readOne, report);
    report({ got: raw, must: ALLOWED });
    return undefined;
  },
  write: (value) => value,
};

function readOne(raw: unknown, report: Report): string | undefined {
  if (typeof raw === 'string' && isNetwork(raw)) return raw;
  report({ got: raw, must: 'an address such as 10.0.0.1 or fd00::1, or a network such as 10.0.0.0/8' });
  return undefined;
}
