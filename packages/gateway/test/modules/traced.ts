import { consumer, http, router } from '@busgate/consumer';
import { trace } from '@opentelemetry/api';

/** The span in which a handler runs. */
function active(): string {
  return trace.getActiveSpan()?.spanContext().spanId ?? 'none';
}

const socket = consumer(async (client) => {
  await client.accept();
  await client.send(JSON.stringify([active(), client.request.traceparent ?? null]));
  await client.receive();
  const tracer = trace.getTracer('the-application');
  await tracer.startActiveSpan('handled', async (span) => {
    await client.rooms.publish('1', 'from a handler');
    await client.groups.send('some', { type: 'websocket.send', text: 'from a handler' });
    span.end();
  });
});

const page = http((request) => Response.json([active(), request.headers.get('traceparent')]));

export default router({ '/app/socket': socket, '/app/page': page });
