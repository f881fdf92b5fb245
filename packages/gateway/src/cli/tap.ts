import { styleText } from 'node:util';
import { escapeUnsafe } from '../escape.ts';
import { TAP_RATE } from '../ops/written.ts';
import { OpsClient } from './operate/api.ts';
import type { Environment } from '../config/environment.ts';
import { demand, readAsked } from './operate/asked.ts';
import { roomIn } from './operate.ts';
import { wantsColour } from './operate/table.ts';
import { note } from './reasons.ts';

interface TapFrame {
  readonly data?: unknown;
  readonly text?: string;
  readonly base64?: string;
  readonly position?: string;
}

/**
 * `busgate tap ROOM`: live messages as the ops port shows them, until Ctrl-C.
 * @returns 0 after SIGINT or SIGTERM; 1 where the gateway goes
 */
export async function tap(argv: readonly string[], env: Environment): Promise<number> {
  const asked = readAsked(argv, env, ['rate'], ['ROOM']);
  const room = roomIn(asked.words);
  demand('--rate', asked.said.rate, (rate) => TAP_RATE.read(rate) !== undefined, TAP_RATE.must);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());
  process.stdout.on('error', () => stop.abort());
  const show = asked.json ? showJson : showReadable(wantsColour(process.stdout, env));
  try {
    const text = await new OpsClient(asked).stream(`/api/tap/${room}`, asked.said, stop.signal);
    for await (const { event, data } of eventsIn(text)) show(event, data);
    note('tap', 'the gateway has ended the tap');
    return 1;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    throw error;
  }
}

interface TapEvent {
  readonly event: string;
  readonly data: string;
}

/** Events of a stream whose blocks have an event and one line of data each, as those of the tap; comments are left out. */
async function* eventsIn(pieces: AsyncIterable<string>): AsyncGenerator<TapEvent> {
  let text = '';
  for await (const piece of pieces) {
    const blocks = (text + piece).split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const [, event, data] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
      if (event !== undefined && data !== undefined) yield { event, data };
    }
  }
}

/** A line each: a message as the frame that it is. */
function showJson(event: string, data: string): void {
  process.stdout.write(`${event === 'message' ? data : JSON.stringify({ type: event, ...(JSON.parse(data) as object) })}\n`);
}

function showReadable(colour: boolean): (event: string, data: string) => void {
  const dim = (text: string): string => (colour ? styleText('dim', text, { validateStream: false }) : text);
  return (event, data) => {
    const time = new Date().toTimeString().slice(0, 8);
    process.stdout.write(`${dim(time)} ${event === 'message' ? messageOf(data, dim) : dim(otherOf(event, data))}\n`);
  };
}

function messageOf(data: string, dim: (text: string) => string): string {
  const { text, base64, position, data: value } = JSON.parse(data) as TapFrame;
  const payload = text ?? (base64 === undefined ? JSON.stringify(value) : `base64 ${base64}`);
  return `${escapeUnsafe(payload)}${position === undefined ? '' : dim(`  ${position}`)}`;
}

function otherOf(event: string, data: string): string {
  return event === 'skipped' ? `${(JSON.parse(data) as { count: number }).count} more were not shown` : 'a gap: messages may have been lost';
}
