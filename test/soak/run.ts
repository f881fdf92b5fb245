/** `npm run soak [-- --minutes N --layer NAME --kind TEXT]`: all kinds together, then each alone, again and again for so long, and what grows of it. */
import { parseArgs } from 'node:util';
import { Findings } from './findings.ts';
import { kindsOn } from './kinds.ts';
import { soak } from './soak.ts';
import { type LayerName, SoakStage } from './stage.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '30' }, layer: { type: 'string' }, kind: { type: 'string', default: '' } } });
const end = performance.now() + Number(values.minutes) * 60_000;
const layers = (['memory', 'redis', 'nats'] as const).filter((layer) => values.layer === undefined || layer === values.layer);
const faults = await Promise.all(layers.map((layer) => all(layer)));
process.exitCode = faults.every((count) => count === 0) ? 0 : 1;

/** All kinds together, then each alone, which tells whose it is, and so on. Answers how many faults were told. */
async function all(layer: LayerName): Promise<number> {
  await using stage = await SoakStage.start(layer);
  const kinds = kindsOn(layer).filter(({ name }) => name.includes(values.kind));
  const turns = [kinds, ...(kinds.length > 1 ? kinds.map((kind) => [kind]) : [])];
  const findings = new Findings(layer, console);
  for (let time = 0; time === 0 || performance.now() < end; time += 1) {
    const turn = turns[time % turns.length] ?? kinds;
    const name = turn === kinds ? 'all together' : turn.map((kind) => kind.name).join();
    const faults = await soak(stage, turn, (growth) => console.log(`${layer}: ${name}: a round leaves`, growth));
    findings.turn(name, faults, await stage.inspector.resident());
  }
  return findings.end();
}
