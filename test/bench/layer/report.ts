import { median } from '../rig/median.ts';
import { find, summarise, table, verdict, type Row, type Sample } from '../rig/table.ts';

/** Tables of medians, and whether each goal was met. */
export function report(samples: readonly Sample[], returns: readonly number[], runs: number): string {
  const rows = summarise(samples);
  return table('Layer on Redis', 'layer', runs, rows, goals(rows, returns));
}

function goals(rows: readonly Row[], returns: readonly number[]): string[] {
  const lines: string[] = [];
  for (const readers of [1, 4, 16]) {
    const [ours, bare, python] = ['busgate', 'bare', 'channels_redis'].map((server) => find(rows, `queue-${readers}`, server));
    if (ours === undefined) continue;
    if (python !== undefined) lines.push(verdict(`queue, ${readers} readers: messages/s, of channels_redis's`, ours.rate / python.rate, 20, 'at least'));
    if (bare !== undefined) lines.push(verdict(`queue, ${readers} readers: CPU per message, of the bare loop's`, ours.cpu / bare.cpu, 1.5, 'at most'));
  }
  if (returns.length > 0) lines.push(verdict('10,000 rooms subscribed again after a restart: seconds', median(returns), 1, 'at most'));
  return lines;
}
