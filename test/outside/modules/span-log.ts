/** Stands for an OpenTelemetry collector where its image is not to be had: takes spans by OTLP over HTTP in JSON, and writes of each what the exporter `debug` writes. */
import { createServer, type IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';

interface Exported {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly { readonly traceId: string; readonly name: string }[] }[] }[];
}

async function log(request: IncomingMessage): Promise<void> {
  const { resourceSpans } = (await json(request)) as Exported;
  const spans = resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scoped) => scoped.spans));
  for (const { traceId, name } of spans) console.log(`Trace ID : ${traceId}\nName : ${name}`);
}

const server = createServer((request, response) => {
  void log(request).then(() => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
});
server.listen(4318);
