/** `npm run soak [-- --minutes N --layer NAME --kind TEXT]`: all kinds together, then each alone, again and again for so long, and what grows of it. */
import { parseArgs } from 'node:util';
import { kindsOn } from './kinds.ts';
import { soak } from './soak.ts';
import { type LayerName, SoakStage } from './stage.ts';

const MIB = 1024 * 1024;
/** What memory that is resident may have grown by since all was done for the first time. */
const GROWTH = 1.05;

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '30' }, layer: { type: 'string' }, kind: { type: 'string', default: '' } } });
const end = performance.now() + Number(values.minutes) * 60_000;
const layers = (['memory', 'redis', 'nats'] as const).filter((layer) => values.layer === undefined || layer === values.layer);
const faults = (await Promise.all(layers.map((layer) => all(layer)))).flat();
process.exitCode = faults.length === 0 ? 0 : 1;

/** All kinds together, then each alone, which tells whose it is, and so on. */
async function all(layer: LayerName): Promise<readonly string[]> {
  await using stage = await SoakStage.start(layer);
  const kinds = kindsOn(layer).filter(({ name }) => name.includes(values.kind));
  const turns = [kinds, ...(kinds.length > 1 ? kinds.map((kind) => [kind]) : [])];
  const found: string[] = [];
  const resident: number[] = [];
  for (let time = 0; time === 0 || performance.now() < end; time += 1) {
    const turn = turns[time % turns.length] ?? kinds;
    const name = turn === kinds ? 'all together' : turn.map((kind) => kind.name).join();
    const faults = (await soak(stage, turn, (growth) => console.log(`${layer}: ${name}: a round leaves`, growth))).map(
      (fault) => `${layer}: ${name}: ${fault}`,
    );
    found.push(...faults);
    resident.push(await stage.inspector.resident());
    console.log(`${layer}: ${name}: ${((resident.at(-1) ?? 0) / MIB).toFixed(1)} MiB resident`);
    for (const fault of faults) console.error(fault);
  }
  const [before = 0] = resident;
  const last = resident.at(-1) ?? 0;
  if (last > before * GROWTH) found.push(`${layer}: ${(before / MIB).toFixed(1)} MiB resident have become ${(last / MIB).toFixed(1)}`);
  return found;
}
