/** `npm run bench -- [family] [--scenario a,b] [--server a,b] [--runs n]`: measures, prints, and writes RESULTS.md after a whole run. */
import { type Choice, parseChoice } from './choice.ts';
import { benchEvents, eventScenarios, eventServers } from './events/bench.ts';
import { benchGrowth, growthScenarios, growthServers } from './growth/bench.ts';
import { benchLayer, layerScenarios, layerServers } from './layer/bench.ts';
import { benchNats, natsScenarios, natsServers } from './nats/bench.ts';
import { benchReturns, returnScenarios, returnServers } from './returns/bench.ts';
import { benchRollout, rolloutScenarios, rolloutServers } from './rollout/bench.ts';
import { benchRooms, roomServers, roomScenarios } from './rooms/bench.ts';
import { benchStrangers, strangerScenarios, strangerServers } from './strangers/bench.ts';
import { benchTransports, transportScenarios, transportServers } from './transports/bench.ts';
import { benchWorkers, workerScenarios, workerServers } from './workers/bench.ts';

interface Family {
  readonly scenarios: readonly string[];
  readonly servers: readonly string[];
  run(choice: Choice): Promise<void>;
}

/** What can be measured; the first family is the default. */
const families: Readonly<Record<string, Family>> = {
  rooms: { scenarios: roomScenarios, servers: roomServers, run: benchRooms },
  events: { scenarios: eventScenarios, servers: eventServers, run: benchEvents },
  growth: { scenarios: growthScenarios, servers: growthServers, run: benchGrowth },
  layer: { scenarios: layerScenarios, servers: layerServers, run: benchLayer },
  nats: { scenarios: natsScenarios, servers: natsServers, run: benchNats },
  returns: { scenarios: returnScenarios, servers: returnServers, run: benchReturns },
  rollout: { scenarios: rolloutScenarios, servers: rolloutServers, run: benchRollout },
  strangers: { scenarios: strangerScenarios, servers: strangerServers, run: benchStrangers },
  transports: { scenarios: transportScenarios, servers: transportServers, run: benchTransports },
  workers: { scenarios: workerScenarios, servers: workerServers, run: benchWorkers },
};

try {
  const { family, choice } = parseChoice(process.argv.slice(2), families);
  await families[family]?.run(choice);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
