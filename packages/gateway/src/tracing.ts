import {
  type Attributes,
  context,
  isSpanContextValid,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
  type TracerProvider,
} from '@opentelemetry/api';
import { setTimeout as sleep } from 'node:timers/promises';
import { isLayerError } from '@busgate/layer';
import type { Log } from './log.ts';

const NAME = '@busgate/gateway';
const FLUSH_MS = 1000;
const NO_SDK =
  'tracing is on, but no OpenTelemetry SDK has registered a tracer provider: nothing is traced. Load one before Busgate: NODE_OPTIONS="--import ./otel.js"';
/** W3C Trace Context, level 2: version, trace, parent, flags; a later version may say more behind. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?$/;

/** Whether it names a trace, and can be a header. */
export function isTraceparent(value: unknown): value is string {
  return typeof value === 'string' && parse(value) !== undefined;
}

/** One step on the way of a message that somebody traces. */
export class TracedStep {
  readonly #span: Span;

  constructor(span: Span) {
    this.#span = span;
  }

  /** By which what comes next follows it. */
  get traceparent(): string {
    return write(this.#span.spanContext());
  }

  /** `failure`: one word for what went wrong. */
  end(failure?: string): void {
    if (failure !== undefined) this.#span.setAttribute('error.type', failure).setStatus({ code: SpanStatusCode.ERROR });
    this.#span.end();
  }
}

/** Ends the step when the work has ended, and with what it failed. */
export function endWith<T>(step: TracedStep | undefined, work: Promise<T>): Promise<T> {
  return step === undefined ? work : endAfter(step, work);
}

async function endAfter<T>(step: TracedStep, work: Promise<T>): Promise<T> {
  try {
    const result = await work;
    step.end();
    return result;
  } catch (error) {
    step.end(isLayerError(error) ? error.code : 'internal');
    throw error;
  }
}

/**
 * Follows the traces that others have begun, with the OpenTelemetry SDK that the operator brings: what has no `traceparent`, or one that says nothing, has no span. Spans
 * name rooms, queues and routes, and nothing else of what clients sent.
 */
export class Tracing {
  readonly #tracer: Tracer;

  private constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /** Undefined where nothing is to be traced, or no SDK is there to do it, which is logged. */
  static of(isWanted: boolean, version: string, log: Log): Tracing | undefined {
    if (!isWanted) return undefined;
    const provider = trace.getTracerProvider();
    if (!(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer(NAME) !== undefined) return new Tracing(trace.getTracer(NAME, version));
    log.warn(NO_SDK);
    return undefined;
  }

  /** From the call to the layer to its answer. `destination`: a room or a group. */
  publishing(destination: string, traceparent: string | undefined): TracedStep | undefined {
    return this.#step('busgate.publish', SpanKind.PRODUCER, traceparent, messaging('publish', 'send', destination));
  }

  /** From a message's arrival in this process until it was written to each of so many members of its room here. */
  delivering(room: string, members: number, traceparent: string): TracedStep | undefined {
    return this.#step('busgate.deliver', SpanKind.CONSUMER, traceparent, { ...messaging('deliver', 'process', room), 'busgate.members': members });
  }

  /** An event of this type, from the request that it is made of until a queue has taken it. `destination`: the queue, or the route whose handlers are in this process. */
  asking(destination: string, type: string, traceparent: string | undefined): TracedStep | undefined {
    return this.#step('busgate.event', SpanKind.PRODUCER, traceparent, { ...messaging('event', 'send', destination), 'busgate.event.type': type });
  }

  /** Calls a handler in this trace, for whatever SDK and instrumentation there is: whatever it begins is in it, too. */
  within<T>(traceparent: string, call: () => T): T {
    const parent = parse(traceparent);
    return parent === undefined ? call() : context.with(trace.setSpanContext(ROOT_CONTEXT, parent), call);
  }

  /** Of the trace in which this is called, where it is in one. */
  active(): string | undefined {
    const span = trace.getActiveSpan();
    return span === undefined ? undefined : write(span.spanContext());
  }

  /** Has the SDK send what it holds, and waits a second at most: the process may end, and a collector that is away holds up nobody. */
  async flush(): Promise<void> {
    await Promise.race([
      registered()
        .forceFlush?.()
        .catch(() => undefined),
      sleep(FLUSH_MS, undefined, { ref: false }),
    ]);
  }

  #step(name: string, kind: SpanKind, traceparent: string | undefined, attributes: Attributes): TracedStep | undefined {
    const parent = traceparent === undefined ? undefined : parse(traceparent);
    if (parent === undefined) return undefined;
    return new TracedStep(this.#tracer.startSpan(name, { kind, attributes }, trace.setSpanContext(ROOT_CONTEXT, parent)));
  }
}

/** What the SDK has registered, behind whatever stands before it: the module that brings the SDK may have an API of its own, whose classes are not ours. */
function registered(): TracerProvider & { forceFlush?(): Promise<void> } {
  const provider: TracerProvider & { getDelegate?(): TracerProvider } = trace.getTracerProvider();
  return provider.getDelegate?.() ?? provider;
}

/** As OpenTelemetry's semantic conventions for messaging have it. */
function messaging(operation: string, type: 'send' | 'process', destination: string): Attributes {
  return {
    'messaging.system': 'busgate',
    'messaging.operation.name': operation,
    'messaging.operation.type': type,
    'messaging.destination.name': destination,
  };
}

function write({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

function parse(traceparent: string): SpanContext | undefined {
  const [, version, traceId = '', spanId = '', flags = '', more] = TRACEPARENT.exec(traceparent) ?? [];
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(parent) ? parent : undefined;
}
