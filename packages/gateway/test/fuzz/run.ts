/** `npm run test:fuzz [-- --seed N --count N --parser NAME]`: a million inputs to every parser, by a seed that is told. */
import { parseArgs } from 'node:util';
import { PARSERS } from './all.ts';
import { fuzz } from './parser.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string', default: String(Date.now() % 1_000_000_000) }, count: { type: 'string', default: '1000000' }, parser: { type: 'string' } },
});
const [seed, count] = [Number(values.seed), Number(values.count)];
for (const parser of PARSERS.filter(({ name }) => values.parser === undefined || values.parser === name)) {
  const before = process.cpuUsage();
  fuzz(parser, seed, count);
  const { user, system } = process.cpuUsage(before);
  console.log(`${parser.name}: ${count} inputs of seed ${seed} in ${((user + system) / 1_000_000).toFixed(1)} s of CPU`);
}
