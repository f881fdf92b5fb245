import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import type { LayerOptions } from '../contract.ts';
import { isLayerError } from '../errors.ts';
import type { ChannelLayer } from '../layer.ts';
import { oneIsCutOff, type Reachable } from './cut-off.ts';
import { record, soon } from './expect.ts';
import type { Stage } from './stage.ts';
import type { Family } from './suite.ts';

const TITLE = 'calls that wait for the broker are bounded: what is more is LAYER_AWAY, with overload as its fault, and is not done';
/** Of a connection 65,536 calls may be under way, and 64 MiB. Without one of the kinds of calls, which take turns, neither bound would be met. */
const TOO_MANY = 70_000;
const LARGE = 1_000_000;
const TOO_MANY_LARGE = 75;

const OPTIONS: LayerOptions = { capacity: 100_000, maxMessageBytes: 1_048_576, history: [{ rooms: 'kept.>', size: 10, ageMs: 60_000 }] };

type Call = (layer: ChannelLayer, text: string) => Promise<unknown>;

/** What carries a payload, of each kind. */
function sendingCalls({ capabilities: { queues, groups, history } }: ChannelLayer): Call[] {
  return [
    (layer, text) => layer.publish('room', text),
    ...(queues ? [(layer: ChannelLayer, text: string) => layer.send('work', { text })] : []),
    ...(groups ? [(layer: ChannelLayer, text: string) => layer.groupSend('group', { text })] : []),
    ...(history ? [(layer: ChannelLayer, text: string) => layer.publish('kept.1', text)] : []),
  ];
}

function allCalls(layer: ChannelLayer): Call[] {
  const { queues, groups } = layer.capabilities;
  return [...sendingCalls(layer), ...(queues && groups ? [(each: ChannelLayer) => each.groupAdd('group', 'work')] : [])];
}

/** What a broker that takes nothing makes a process hold. */
export function bytesUnderWay(reachable: Reachable): Family {
  return {
    title: TITLE,
    tests: {
      'publishes and requests of each kind count with their bytes': (stage) => tooMuch(stage, reachable, TOO_MANY_LARGE, 'x'.repeat(LARGE), sendingCalls),
    },
  };
}

export function callsUnderWay(reachable: Reachable): Family {
  return { title: TITLE, tests: { 'publishes and requests of each kind count, however small': (stage) => tooMuch(stage, reachable, TOO_MANY, '', allCalls) } };
}

/** Makes so many calls in one turn, to a broker that takes nothing; then all kinds are refused, and all is well when it is back. */
async function tooMuch(stage: Stage, reachable: Reachable, times: number, text: string, kinds: (layer: ChannelLayer) => Call[]): Promise<void> {
  await oneIsCutOff(
    stage,
    reachable,
    async ({ here, apart, hold, cut, mend }) => {
      const recorder = await record(here, 'room');
      const [calls, others] = [kinds(apart), allCalls(apart)];
      for (const call of others) await call(apart, 'first');
      await recorder.seen('first');
      const { overloaded } = apart.stats.faults;
      hold();
      const ends: unknown[] = [];
      const end = (error: unknown): void => void ends.push(error);
      const make = (call: Call, said: string): Promise<void> => call(apart, said).then(() => end('answered'), end);
      const made = Array.from({ length: times }, (_, n) => make(calls[n % calls.length] as Call, text));
      made.push(...others.map((call) => make(call, 'refused')));
      await turn();
      await turn();
      const refused = ends.length;
      assert.ok(refused > others.length && refused < times / 2, `${refused} of ${times} are refused`);
      for (const error of ends) assert.ok(isLayerError(error, 'LAYER_AWAY') && error.fault === 'overloaded', String(error));
      assert.ok(apart.stats.faults.overloaded - overloaded >= refused, 'each is counted');
      await cut();
      await soon(Promise.all(made), 'every call ends');
      for (const error of ends.slice(refused)) assert.ok(isLayerError(error, 'OUTCOME_UNKNOWN') || isLayerError(error, 'LAYER_AWAY'), String(error));
      await mend();
      for (const call of others) await call(apart, 'after');
      await recorder.seen('after');
      assert.ok(!recorder.texts.includes('refused'));
    },
    OPTIONS,
  );
}
