import { METRICS } from '../../src/metrics.ts';

/** docs/metrics.md, from the definitions. */
export function metricsDocument(): string {
  return `# Metrics

<!-- Made from packages/gateway/src/metrics.ts by \`npm run docs\`. -->

\`GET /metrics\` on the ops port, in Prometheus's text format, in seconds and bytes. No room, user or address is ever a label: the number of series does
not depend on what clients do. All counters are there from the start, with every value of their label. Beside these there are the metrics of Node and of the process
(\`nodejs_*\`, \`process_*\`); \`nodejs_eventloop_lag_p99_seconds\` is the one to watch.

In each process, when it is quiet, exactly:
\`busgate_deliveries_due_total\` = \`busgate_deliveries_sent_total\` + \`busgate_deliveries_dropped_total\` (all reasons) + \`busgate_deliveries_queued\`.

| metric | type | label | |
| --- | --- | --- | --- |
${METRICS.map(({ name, type, label, help }) => `| \`${name}\` | ${type} | ${label === undefined ? '' : `\`${label}\``} | ${help} |`).join('\n')}

Why a delivery was dropped: \`closed\`, the session ended first; \`slow\`, it was closed as too slow a reader; \`total\`, it was the slowest when all outboxes together passed
\`limits.outbox_total\`; \`backlog\`, its room passed \`limits.room_backlog\`.

Why a publish failed: \`away\`, the layer could not be reached and nothing was sent; \`unknown\`, the connection broke before the answer and it may have taken effect;
\`not_allowed\`, the route lets no client publish; \`refused\`, the layer refused it.
`;
}
