/** One media type of an Accept header, and how much it is wanted (RFC 9110 section 12.5.1). */
const RANGE = /^\s*([^\s;]+)\s*(?:;(.*))?$/s;
const WEIGHT = /(?:^|;)\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)/i;

/** How much `type` is wanted by its own name, 0 to 1: what takes anything, as most clients say by themselves, asks for no stream. */
export function wishFor(type: string, header: string | undefined): number {
  let most = 0;
  for (const part of (header ?? '').split(',')) {
    const [, range = '', parameters = ''] = RANGE.exec(part) ?? [];
    if (range.toLowerCase() === type) most = Math.max(most, Number(WEIGHT.exec(parameters)?.[1] ?? 1));
  }
  return most;
}
