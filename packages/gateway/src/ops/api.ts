import { type Answer, jsonAnswer } from '../answer.ts';
import type { Log } from '../log.ts';
import type { OpsApi, OpsCall, OpsReply } from './call.ts';
import { OpsError, opsRefusal } from './errors.ts';

/** What a call of the API is given. */
export interface ApiRequest {
  /** What the path gave, by parameter, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Uint8Array;
  /** As the header says it; what is none is as if there were none. */
  readonly traceparent: string | undefined;
}

/** One call of the API. */
export interface ApiCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** `/api/rooms/:room`: each segment itself, or a parameter. */
  readonly path: string;
  /** Answers with JSON, or in words of its own. Rejects with an {@link OpsError} for what it refuses. */
  readonly serve: (request: ApiRequest) => Promise<object | OpsReply>;
}

/** The operator's API: a table of calls. */
export class Api implements OpsApi {
  readonly #calls: readonly ApiCall[];
  readonly #log: Log;

  constructor(calls: readonly ApiCall[], log: Log) {
    this.#calls = calls;
    this.#log = log;
  }

  /** No error of a call goes further than this. */
  async answer(call: OpsCall): Promise<OpsReply> {
    try {
      return await this.#serve(call);
    } catch (error) {
      if (error instanceof OpsError) return opsRefusal(error.key);
      this.#log.error('a call of the ops API failed', { path: call.path, error: String(error) });
      return opsRefusal('internal');
    }
  }

  async #serve({ method, path, query, body, traceparent }: OpsCall): Promise<OpsReply> {
    const matches = this.#calls.flatMap((call) => {
      const params = match(call.path, path);
      return params === undefined ? [] : [{ call, params }];
    });
    if (matches.length === 0) return opsRefusal('no_route');
    const found = matches.find(({ call }) => call.method === method);
    if (found === undefined) return opsRefusal('method', { Allow: matches.map(({ call }) => call.method).join(', ') });
    const answer = await found.call.serve({ params: found.params, query: new URLSearchParams(query), body, traceparent });
    return isReply(answer) ? answer : jsonAnswer(200, answer);
  }
}

/** What the segments gave; undefined where it is another path. */
function match(template: string, path: string): Record<string, string> | undefined {
  const wanted = template.split('/');
  const segments = path.split('/');
  if (wanted.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const name = wanted[index] ?? '';
    if (name.startsWith(':') && segment !== '') params[name.slice(1)] = decoded(segment);
    else if (name !== segment) return undefined;
  }
  return params;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new OpsError('bad_request');
  }
}

function isReply(answer: object): answer is Answer | OpsReply {
  return 'status' in answer && 'headers' in answer;
}
