import { openLayer } from '@busgate/layer';

/** Adds two channels of its own to the group `g`, says so, and lives until it is killed. */
const layer = await openLayer(process.argv[2] as string);
for (let count = 0; count < 2; count += 1) await layer.groupAdd('g', layer.newChannel());
console.log('member');
