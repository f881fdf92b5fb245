import type { LayerFault } from '@busgate/layer';
import { HISTOGRAMS } from '../../src/metrics/histograms.ts';
import { METRICS } from '../../src/metrics.ts';

const FAULTS: Readonly<Record<LayerFault, readonly [what: string, cure: string]>> = {
  connection_lost: ['A connection broke, and what answers there now, if anything, is not known to be the same.', 'Was the broker restarted, or its host?'],
  cut_off: [
    'The broker lives and ended a connection of this gateway: a reader too slow for its limit, or somebody’s `CLIENT KILL`.',
    'Redis: `client-output-buffer-limit pubsub`; NATS: `max_pending`, `write_deadline`. Watch the event loop of the gateway; add gateways.',
  ],
  unreachable: ['No connection can be made.', 'Does the broker run; is the address right; is its certificate believed?'],
  unresponsive: ['Connected, and no answer in time.', 'Is the broker stopped or overloaded; does the network drop packets?'],
  overloaded: ['It takes less than is sent; what waits reached its bound, and publishes were refused.', 'Publish less, or give the broker more.'],
  refused: ['Credentials, or what they permit; the reason names the command or subject.', 'The ACL in layer-redis.md; permissions of the NATS user.'],
  out_of_space: ['Memory or storage is full, and a write was refused.', 'Raise `maxmemory` or the limits of JetStream; keep less history.'],
  read_only: ['It lives and takes no writes: a replica, still loading, a failing disk, too few replicas, a stream without leader.', 'The reason says which.'],
  data_lost: ['It came back as another one, or a stream was deleted: histories begin a new epoch.', 'Should the broker keep its data: persistence, volumes.'],
  moved: ['Another server of the broker goes on, and may lack the last writes.', 'A failover or a resharding; find out why, if nobody asked for it.'],
  partitioned: ['A heartbeat of another gateway was missed although both were connected.', 'Look at the network between the servers of the broker.'],
};

/** docs/metrics.md, from the definitions. */
export function metricsDocument(): string {
  return `# Metrics

<!-- Made from packages/gateway/src/metrics.ts by \`npm run docs\`. -->

\`GET /metrics\` on the ops port, in Prometheus's text format, in seconds and bytes. No room, user or address is ever a label: the number of series does
not depend on what clients do. All counters are there from the start, with every value of their label. Beside these there are the metrics of Node and of the process
(\`nodejs_*\`, \`process_*\`); \`nodejs_eventloop_lag_p99_seconds\` is the one to watch.

With several workers, or after SIGHUP, the page is of all of them together: counters and histograms are sums, in which workers that have died stay; gauges are of those that answer within 0.5 s, added where
they are shares of a whole, else the worst. \`busgate_worker_up\`, a gauge with the label \`worker\`, is 1 for each that does.

In each process, when it is quiet, exactly:
\`busgate_deliveries_due_total\` = \`busgate_deliveries_sent_total\` + \`busgate_deliveries_dropped_total\` (all reasons) + \`busgate_deliveries_queued\`.

| metric | type | labels | |
| --- | --- | --- | --- |
${[...METRICS, ...HISTOGRAMS].map(({ name, type, labels, help }) => `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`).join('\n')}

Why a delivery was dropped: \`closed\`, the session ended first; \`slow\`, it was closed as too slow a reader; \`total\`, it was the slowest when all outboxes together passed
\`limits.outbox_total\`; \`memory\`, it was the slowest when memory was at \`limits.memory\`; \`backlog\`, its room passed \`limits.room_backlog\`; \`missed\`, the session read too slowly for a room whose rule (\`rooms\`) says what it loses.

Of events, by route, in each process, when it is quiet, exactly: \`busgate_events_due_total\` = \`busgate_events_queued_total\` + \`busgate_events_failed_total\`, and
\`busgate_events_queued_total\` = \`busgate_events_handled_total\` + \`busgate_events_undone_total\` (all reasons) + \`busgate_events_in_flight\`. Why one is undone: \`timeout\`, nobody answered in time; \`lost\`, its worker, or the gateway's own process,
died with it; \`returned\`, its worker stopped and gave it back, and another one was given it anew.

\`busgate_consumer_…\` are of routes whose handlers run in the gateway's process. A handler that computes for long holds up everybody: the log says which route, and a worker (\`busgate work\`) is the place for
such work. What a handler does after it waited for something else than Busgate (a file, a database) is counted from its next word to the socket on; all of it is in \`nodejs_eventloop_lag_seconds\`.

Why a publish failed: \`away\`, the layer could not be reached and nothing was sent; \`unknown\`, the connection broke before the answer and it may have taken effect;
\`not_allowed\`, the route lets no client publish; \`full\`, memory is at \`limits.memory\`; \`rate\`, the session publishes more often than \`rate.publishes\` says; \`refused\`, the layer refused it.

Kinds of faults of the broker, the same on Redis and NATS. The log has a line of each, \`a fault of the broker\`, with the broker's own words as its \`reason\`, at most one of a kind in 10 s.

| kind | what it is | what to do |
| --- | --- | --- |
${Object.entries(FAULTS)
  .map(([kind, [what, cure]]) => `| \`${kind}\` | ${what} | ${cure} |`)
  .join('\n')}
`;
}
