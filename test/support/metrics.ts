import type { GatewayProcess } from './processes.ts';

/** Every sample of the page, by its name with its labels. */
export async function metricsOf(gateway: GatewayProcess): Promise<ReadonlyMap<string, number>> {
  const page = await (await fetch(gateway.ops('/metrics'))).text();
  const lines = page.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

/** Of all labels together. */
export function sumOf(page: ReadonlyMap<string, number>, name: string): number {
  let sum = 0;
  for (const [sample, value] of page) if (sample === name || sample.startsWith(`${name}{`)) sum += value;
  return sum;
}
