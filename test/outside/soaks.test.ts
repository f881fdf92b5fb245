import { expect, test } from 'vitest';
import { Findings } from '../soak/findings.ts';
import { kindsOn } from '../soak/kinds.ts';
import { soak } from '../soak/soak.ts';
import { SoakStage } from '../soak/stage.ts';
import { INSPECTED, Inspector } from '../support/inspector.ts';
import { startGateway } from '../support/processes.ts';

/** Some two minutes, and several times that on a machine that is busy. */
const PATIENCE_MS = 900_000;

test.concurrent.each(['memory', 'redis', 'nats'] as const)(
  'nothing grows with repetitions of all that clients, workers and operators do: %s',
  async (layer) => {
    await using stage = await SoakStage.start(layer);
    expect(await soak(stage, kindsOn(layer))).toEqual([]);
  },
  PATIENCE_MS,
);

test.concurrent('what is left behind is seen: each kind of it', async () => {
  await using gateway = await startGateway({ args: ['--demo'], env: { NODE_OPTIONS: INSPECTED } });
  await using inspector = await Inspector.of(gateway);
  const leak = `
    kept.objects.push({});
    kept.listeners.on('event', () => undefined);
    kept.timers.push(setTimeout(() => undefined, 3_600_000).unref());
    kept.signal.addEventListener('abort', () => undefined);
    kept.bytes.set(crypto.randomUUID(), 0);`;
  const leaks = (times: number): Promise<void> => inspector.run(`for (let time = 0; time < ${times}; time += 1) { ${leak} }`);
  await inspector.run(`
    const { EventEmitter } = process.getBuiltinModule('node:events');
    globalThis.kept = { objects: [], listeners: new EventEmitter().setMaxListeners(0), timers: [], signal: new AbortController().signal, bytes: new Map() };`);
  await leaks(10);
  const before = await inspector.census();
  await leaks(1000);
  const after = await inspector.census();
  expect(after.listeners - before.listeners).toBeGreaterThan(1900);
  expect(after.timers - before.timers).toBeGreaterThan(950);
  expect(after.objects - before.objects).toBeGreaterThan(4000);
  expect(after.bytes - before.bytes).toBeGreaterThan(300_000);
});

test('what a soak finds is told, also where nothing but memory has grown', () => {
  const MIB = 1024 * 1024;
  const toldOf = (...turns: readonly (readonly [faults: readonly string[], mib: number])[]): readonly (number | string)[] => {
    const lines: string[] = [];
    const findings = new Findings('memory', { log: () => undefined, error: (line) => void lines.push(line) });
    for (const [faults, mib] of turns) findings.turn('all together', faults, mib * MIB);
    return [findings.end(), ...lines];
  };
  expect(toldOf([[], 100], [[], 120], [[], 105])).toEqual([0]);
  expect(toldOf([[], 100], [[], 105.1])).toEqual([1, 'memory: 100.0 MiB resident have become 105.1']);
  expect(toldOf([['timers a round: 1'], 100], [[], 200])).toEqual([
    2,
    'memory: all together: timers a round: 1',
    'memory: 100.0 MiB resident have become 200.0',
  ]);
});
