/** `npm run test:autobahn [-- CASES…]`: Autobahn's fuzzing client against the gateway's wire, with room for its largest messages and with the limits that a gateway has by itself. */
import { EchoServer } from '../../packages/gateway/test/support/echo.ts';
import { FuzzingClient } from './fuzzing-client.ts';
import { isFault } from './judge.ts';
import { ORDINARY, ROOMY } from './limits.ts';

const chosen = process.argv.slice(2);
await using client = await FuzzingClient.install();
await using roomy = await EchoServer.start(ROOMY);
await using ordinary = await EchoServer.start(ORDINARY);
const subjects = [
  { agent: 'roomy', url: roomy.url },
  { agent: 'ordinary', url: ordinary.url },
];
const findings = await client.run(subjects, chosen.length > 0 ? chosen : ['*']);
const faults = findings.filter((finding) => isFault(finding, finding.agent === 'ordinary'));
const counts = Object.groupBy(findings, ({ agent, behavior, behaviorClose }) => `${agent}: ${behavior}, closed ${behaviorClose}`);
for (const [kind, found] of Object.entries(counts)) console.log(`${kind}: ${found?.length ?? 0}`);
for (const fault of faults) console.log(JSON.stringify(fault));
console.log(`${findings.length - faults.length} passed, ${faults.length} failed`);
process.exitCode = findings.length > 0 && faults.length === 0 ? 0 : 1;
