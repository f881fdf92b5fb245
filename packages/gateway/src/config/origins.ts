import { readItems } from './members.ts';
import type { Report, ValueType } from './types.ts';

const ALLOWED = 'a list of origins as browsers send them, such as https://app.example or http://localhost:3000; without it, the host that was asked';

/** Origins whose pages may connect, compared whole: scheme, host and port. In a variable or a flag they stand between commas. */
export const origins: ValueType<readonly string[]> = {
  name: 'list',
  allowed: ALLOWED,
  placeholder: 'URL,URL',
  read(raw, report) {
    const items: unknown[] | undefined = Array.isArray(raw) ? raw : typeof raw === 'string' ? raw.split(',').map((item) => item.trim()) : undefined;
    if (items === undefined) {
      report({ got: raw, must: ALLOWED });
      return undefined;
    }
    return readItems(items, readOrigin, report);
  },
  write: (value) => value,
};

function readOrigin(raw: unknown, report: Report): string | undefined {
  const sent = typeof raw === 'string' && /^https?:\/\//i.test(raw) && URL.canParse(raw) ? new URL(raw) : undefined;
  if (sent !== undefined && sent.origin === raw) return raw;
  const must = sent === undefined ? 'an origin such as https://app.example' : `an origin as browsers send it: ${sent.origin}`;
  report({ got: raw, must });
  return undefined;
}
