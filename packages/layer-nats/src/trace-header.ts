import type { Arrival, ServerFacts } from './connection.ts';

/** As OpenTelemetry's instrumentations of NATS clients write it (W3C Trace Context). */
const NAME = 'traceparent';

/** Bytes that it may take beside the payload, with whatever other headers there are. */
const ROOM = 512;

/** None where the server would not take the message for it. */
export function traceHeader(traceparent: string | undefined, bytes: number, { maxPayload }: ServerFacts): Readonly<Record<string, string>> | undefined {
  return traceparent === undefined || bytes + ROOM > maxPayload ? undefined : { [NAME]: traceparent };
}

/** What who published the message said, whoever that was. */
export function traceOf(arrival: Arrival): string | undefined {
  const traceparent = arrival.header(NAME);
  return traceparent === '' ? undefined : traceparent;
}
