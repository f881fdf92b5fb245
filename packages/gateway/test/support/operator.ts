import { openApi } from '../../src/ops/openapi.ts';
import { Schemas } from './json-schema.ts';

export const KEY = 'a key that nobody guesses'.replaceAll(' ', '-');

/** Members of answers that tests look at; which of them an answer has, its schema says. */
interface Body {
  readonly error: string;
  readonly cursor?: string;
  readonly missing: readonly string[];
  readonly results: readonly { readonly room: string; readonly position?: string; readonly error?: string }[];
  readonly rooms: readonly { readonly room: string; readonly members: object }[];
  readonly position: string;
  readonly subscribed_at: string;
  readonly messages: readonly { readonly data: number; readonly position: string }[];
  readonly sessions: readonly { readonly id: string }[];
  readonly gateways: readonly { readonly gateway: string }[];
  readonly guarantees: readonly { readonly route: string; readonly rooms: string }[];
  readonly openapi: string;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

interface Operation {
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
  readonly responses: Readonly<Record<string, { readonly content: Readonly<Record<string, { readonly schema: Readonly<Record<string, unknown>> }>> }>>;
}

const DOCUMENT = openApi('0.0.0') as { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>; readonly components: object };

const SCHEMAS = new Schemas(DOCUMENT);

/** An operator who has the key. Each answer is held against the OpenAPI document: its status, its type, its body, and that the query was one that the document knows. */
export class Operator {
  readonly #base: string;
  /** Calls that have been answered as the document says. */
  readonly seen = new Set<string>();

  /** `base`: where the ops port is. */
  constructor(base: string) {
    this.#base = base;
  }

  async ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(`${this.#base}${path}`, {
      method,
      headers: { Authorization: `Bearer ${KEY}` },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    this.#check(method, path, response, text);
    return { status: response.status, headers: response.headers, body: JSON.parse(text) as Body };
  }

  get(path: string): Promise<Answer> {
    return this.ask('GET', path);
  }

  /** All pages of a list, one after the other. */
  async pages(path: string): Promise<Body[]> {
    const pages: Body[] = [];
    for (let cursor: string | undefined = ''; cursor !== undefined;) {
      const page: Answer = await this.get(`${path}${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`);
      if (page.status !== 200) throw new Error(`${path}: ${page.status} ${JSON.stringify(page.body)}`);
      pages.push(page.body);
      cursor = page.body.cursor;
    }
    return pages;
  }

  #check(method: string, path: string, { status, headers }: Response, text: string): void {
    const found = operationOf(method, path);
    if (found === undefined) return;
    const { name, query, operation } = found;
    const { parameters = [], responses } = operation;
    const isListed = Object.hasOwn(responses, status);
    const [type, { schema }] = Object.entries(responses[isListed ? status : 'default']?.content ?? {})[0] ?? ['', { schema: {} }];
    const faults = [
      ...(isListed || status >= 400 ? [] : [`its status is ${status}`]),
      ...unknownIn(query, parameters),
      headers.get('content-type') === type ? SCHEMAS.fault(JSON.parse(text), schema) : `its type is ${String(headers.get('content-type'))}`,
    ].filter((fault) => fault !== undefined);
    if (faults.length > 0) throw new Error(`${name} is not as the document says: ${faults.join(', ')} in ${text.slice(0, 500)}`);
    if (isListed) this.seen.add(name);
  }
}

/** Undefined where the document has none: a path that is refused. */
function operationOf(method: string, path: string): { readonly name: string; readonly query: string; readonly operation: Operation } | undefined {
  const [pathname = '', query = ''] = path.split('?', 2);
  for (const [template, operations] of Object.entries(DOCUMENT.paths)) {
    const operation = operations[method.toLowerCase()];
    if (operation !== undefined && isOf(template, pathname)) return { name: `${method.toLowerCase()} ${template}`, query, operation };
  }
  return undefined;
}

function unknownIn(query: string, parameters: NonNullable<Operation['parameters']>): string[] {
  const known = new Set(parameters.filter((parameter) => parameter.in === 'query').map((parameter) => parameter.name));
  return [...new URLSearchParams(query).keys()].filter((name) => !known.has(name)).map((name) => `there is no parameter ${name}`);
}

/** Calls of the document that answer with JSON, as {@link Operator.seen} has them. */
export const DOCUMENTED_CALLS: readonly string[] = Object.entries(DOCUMENT.paths).flatMap(([template, operations]) =>
  Object.entries(operations).flatMap(([method, { responses }]) => (JSON.stringify(responses).includes('event-stream') ? [] : [`${method} ${template}`])),
);

function isOf(template: string, path: string): boolean {
  return new RegExp(`^${template.replaceAll(/\{[a-z]+\}/g, '[^/]+')}$`).test(path);
}
