// Loaded before Busgate: NODE_OPTIONS="--import ./otel.js" busgate … --tracing
// OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318) and the other OTEL_ variables of the exporter and the batches say the rest.
import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { AlwaysOnSampler, BatchSpanProcessor, ParentBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace';

const provider = new TracerProvider({
  resource: defaultResource().merge(resourceFromAttributes({ 'service.name': process.env.OTEL_SERVICE_NAME ?? 'busgate' })),
  // What services of yours have sampled. Where clients may publish, decide anew: remoteParentSampled: new TraceIdRatioBasedSampler(0.01).
  sampler: new ParentBasedSampler({ root: new AlwaysOnSampler() }),
  spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
});
// So that handlers of a consumer route run in the trace of their event.
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(provider);
// A gateway has what waits sent when it has drained; a worker that uses this file, when it has nothing more to do.
process.once('beforeExit', () => void provider.shutdown());
