import { Buffer } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Admission } from '../admission.ts';
import type { Answer } from '../answer.ts';

type Headers = Readonly<Record<string, string>>;

/** What a page may send beside what every page may. */
const REQUEST_HEADERS = 'content-type, authorization, idempotency-key, last-event-id';
/** A browser need not ask again for so long, in seconds: the longest that all of them keep to. */
const MAX_AGE = 7200;
/** One object for all, since an answer that waits keeps its headers. */
const NONE: Headers = {};

/** What every answer to a page of an allowed origin carries, so that the page may read it (Fetch, section 3.3); nothing for anybody else. */
export function corsHeaders({ headers }: IncomingMessage, host: string, admission: Admission): Headers {
  const { origin } = headers;
  if (origin === undefined || !admission.allowsOrigin(origin, host)) return NONE;
  const allowed = { 'Access-Control-Allow-Origin': origin, 'Access-Control-Expose-Headers': 'retry-after', Vary: 'Origin' };
  return admission.believesCookies ? { ...allowed, 'Access-Control-Allow-Credentials': 'true' } : allowed;
}

/** Whether a browser asks what a page may do here, before the page does it. */
export function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined;
}

/** `methods`: what the path takes. */
export function preflightAnswer(methods: string): Answer {
  return {
    status: 204,
    headers: { 'Access-Control-Allow-Methods': methods, 'Access-Control-Allow-Headers': REQUEST_HEADERS, 'Access-Control-Max-Age': String(MAX_AGE) },
    body: Buffer.alloc(0),
  };
}
