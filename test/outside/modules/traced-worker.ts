import { http, router } from '@busgate/consumer';
import { ROOT_CONTEXT, trace } from '@opentelemetry/api';

/** Goes on with the trace of its request, and publishes over HTTP as any backend would. */
const page = http(async (request) => {
  const [, traceId = '', spanId = ''] = (request.headers.get('traceparent') ?? '').split('-');
  const asked = trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: 1, isRemote: true });
  const span = trace.getTracer('the-worker').startSpan('work', {}, asked);
  const headers = { traceparent: `00-${traceId}-${span.spanContext().spanId}-01` };
  const { status } = await fetch(`${process.env['GATEWAY']}/room/news`, { method: 'POST', body: await request.text(), headers });
  span.end();
  return new Response(null, { status });
});

export default router({ '/page': page });
