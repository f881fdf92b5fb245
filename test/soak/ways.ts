import type { HttpAnswer } from '../../packages/gateway/test/support/raw.ts';
import { metricsOf, sumOf } from '../support/metrics.ts';
import type { SoakStage } from './stage.ts';

export function expectStatus(expected: number | readonly number[], { status, body }: HttpAnswer): void {
  if (![expected].flat().includes(status)) throw new Error(`${status} in place of ${String(expected)}: ${body}`);
}

/** Where a room with history stands. */
export async function standing(stage: SoakStage, room: string): Promise<string> {
  const answer = await stage.ask(`GET /room/${room}?last=0`);
  expectStatus(200, answer);
  return (JSON.parse(answer.body) as { cursor: string }).cursor;
}

/** Resolves when a poll waits. */
export async function isWaiting({ gateway }: SoakStage): Promise<void> {
  while (sumOf(await metricsOf(gateway), 'busgate_sessions') === 0) continue;
}
