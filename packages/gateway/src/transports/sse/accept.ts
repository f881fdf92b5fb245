/** One media type of an Accept header, and how much it is wanted (RFC 9110 section 12.5.1). */
const RANGE = /^\s*([^\s;]+)\s*(?:;(.*))?$/s;
const WEIGHT = /(?:^|;)\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)/i;

/** Whether `type` is wanted by its own name: what takes anything, as most clients say by themselves, asks for no stream. */
export function accepts(header: string | undefined, type: string): boolean {
  return (header ?? '').split(',').some((part) => {
    const [, range = '', parameters = ''] = RANGE.exec(part) ?? [];
    return range.toLowerCase() === type && Number(WEIGHT.exec(parameters)?.[1] ?? 1) > 0;
  });
}
