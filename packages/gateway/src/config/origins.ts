import { itemsOf, readItems } from './members.ts';
import type { Report, ValueType } from './types.ts';

const EXAMPLES = 'an origin such as https://app.example, https://*.example.com, http://localhost:*, capacitor://localhost or "null"';
const ALLOWED =
  'a list of origins as browsers send them, such as https://app.example, https://*.example.com, http://localhost:*, capacitor://localhost or "null"';

/** Origins whose pages may connect, compared whole: scheme, host and port. A star before a host stands for one name or more, one for a port for any. */
export const origins: ValueType<readonly string[]> = {
  name: 'list',
  allowed: ALLOWED,
  placeholder: 'URL,URL',
  read(raw, report) {
    const items = itemsOf(raw);
    if (items === undefined) {
      report({ got: raw, must: ALLOWED });
      return undefined;
    }
    return readItems(items, readOrigin, report);
  },
  write: (value) => value,
};

/** An origin as browsers send it, with a star for the names before a host, or for the port. Apps and extensions have schemes of their own. */
const ORIGIN = /^([a-z][a-z0-9+.-]*):\/\/(\*\.)?([A-Za-z0-9._-]+|\[[0-9a-f:.]+\])(:(?:\d{1,5}|\*))?$/;

function readOrigin(raw: unknown, report: Report): string | undefined {
  if (typeof raw === 'string' && (raw === 'null' || faultOf(raw) === undefined)) return raw;
  report({ got: raw, must: typeof raw === 'string' ? (faultOf(raw) ?? EXAMPLES) : EXAMPLES });
  return undefined;
}

/** What it must be instead. */
function faultOf(written: string): string | undefined {
  const parts = ORIGIN.exec(written);
  const isWeb = /^https?:/i.test(written);
  if (parts === null) return isWeb ? unlike(written, undefined) : EXAMPLES;
  const [, scheme, anyName, host = '', port] = parts;
  if (anyName !== undefined && !/^[^.]+\.[^.]/.test(host)) return 'a pattern whose star stands before two names at least, such as https://*.example.com';
  const plain = `${scheme}://${host}${port === ':*' ? '' : (port ?? '')}`;
  return isWeb ? unlike(plain, plain) : undefined;
}

/** What browsers send instead, where that is not `expected`. */
function unlike(url: string, expected: string | undefined): string | undefined {
  const sent = URL.canParse(url) ? new URL(url).origin : undefined;
  if (sent === undefined) return EXAMPLES;
  return sent === expected ? undefined : `an origin as browsers send it: ${sent}`;
}
