import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { until } from './gateway.ts';

const exporter = new InMemorySpanExporter();
let made = 0;

/** A trace that the test begins, outside. */
export class OutsideTrace {
  readonly traceId: string;
  readonly spanId = 'b7ad6b7169203331';

  constructor() {
    made += 1;
    this.traceId = made.toString(16).padStart(32, 'a');
  }

  /** Not sampled with `flags` 00. */
  traceparent(flags = '01'): string {
    return `00-${this.traceId}-${this.spanId}-${flags}`;
  }

  /** What has ended of it, in the order of their ends. */
  get spans(): ReadableSpan[] {
    return exporter.getFinishedSpans().filter((span) => span.spanContext().traceId === this.traceId);
  }

  /** The first span of this name that has ended, or that does. */
  async span(name: string): Promise<ReadableSpan> {
    const find = (): ReadableSpan | undefined => this.spans.find((span) => span.name === name);
    await until(() => find() !== undefined, `a span ${name} has ended`);
    return find() as ReadableSpan;
  }
}

/** For all gateways of this process, as an operator's `--import` does it. */
export function registerSdk(): void {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }));
}

/** Every span that has ended, whatever its trace. */
export function allSpans(): readonly ReadableSpan[] {
  return exporter.getFinishedSpans();
}
