import { isDeepStrictEqual } from 'node:util';

type Schema = Readonly<Record<string, unknown>>;

/** What is wrong with a value; undefined where nothing is. `schema` is what the keyword says, `at` where the value stands. */
type Check = (value: unknown, said: never, at: string, schema: Schema) => string | undefined;

/** Annotations say nothing of a value. */
const ANNOTATIONS: ReadonlySet<string> = new Set(['description', 'default', 'contentEncoding']);

/**
 * The part of JSON Schema 2020-12 that our OpenAPI document is written in. A keyword that is not of it throws, so that nothing of the document goes unchecked.
 * `document`: what references point into.
 */
export class Schemas {
  readonly #document: object;
  readonly #checks: Readonly<Record<string, Check>> = {
    $ref: (value, pointer: string, at) => this.fault(value, this.at(pointer), at),
    type: (value, type: string, at) => (isOf(value, type) ? undefined : `${at} is no ${type}`),
    const: (value, wanted: unknown, at) => (isDeepStrictEqual(value, wanted) ? undefined : `${at} is not ${JSON.stringify(wanted)}`),
    enum: (value, allowed: readonly unknown[], at) => (allowed.includes(value) ? undefined : `${at} is none of ${allowed.join(', ')}`),
    minimum: (value, least: number, at) => (typeof value !== 'number' || value >= least ? undefined : `${at} is below ${least}`),
    maximum: (value, most: number, at) => (typeof value !== 'number' || value <= most ? undefined : `${at} is above ${most}`),
    maxLength: (value, most: number, at) => (typeof value !== 'string' || value.length <= most ? undefined : `${at} is longer than ${most}`),
    minItems: (value, least: number, at) => (!Array.isArray(value) || value.length >= least ? undefined : `${at} has fewer than ${least}`),
    maxItems: (value, most: number, at) => (!Array.isArray(value) || value.length <= most ? undefined : `${at} has more than ${most}`),
    format: (value, format: string, at) => (format === 'date-time' && !Number.isNaN(Date.parse(String(value))) ? undefined : `${at} is no ${format}`),
    items: (value, items: Schema, at) => firstOf(Array.isArray(value) ? value.map((item, index) => this.fault(item, items, `${at}[${index}]`)) : []),
    properties: (value, properties: Readonly<Record<string, Schema>>, at) =>
      firstOf(membersOf(value).map(([name, member]) => (Object.hasOwn(properties, name) ? this.fault(member, properties[name]!, `${at}.${name}`) : undefined))),
    additionalProperties: (value, others: Schema | false, at, { properties = {} }) =>
      firstOf(
        membersOf(value)
          .filter(([name]) => !Object.hasOwn(properties as object, name))
          .map(([name, member]) => (others === false ? `${at}.${name} is unknown` : this.fault(member, others, `${at}.${name}`))),
      ),
    required: (value, names: readonly string[], at) =>
      firstOf(names.map((name) => (Object.hasOwn(Object(value) as object, name) ? undefined : `${at}.${name} is missing`))),
    allOf: (value, schemas: readonly Schema[], at) => firstOf(schemas.map((schema) => this.fault(value, schema, at))),
    anyOf: (value, schemas: readonly Schema[], at) => (this.#fitting(value, schemas, at) > 0 ? undefined : `${at} fits none`),
    oneOf: (value, schemas: readonly Schema[], at) => (this.#fitting(value, schemas, at) === 1 ? undefined : `${at} does not fit exactly one`),
  };

  constructor(document: object) {
    this.#document = document;
  }

  /** The part of the document that a pointer such as `#/components/schemas/Room` names. */
  at(pointer: string): Schema {
    const names = pointer.split('/').slice(1);
    const found = names.reduce(
      (part: unknown, name) => (part as Record<string, unknown> | undefined)?.[name.replaceAll('~1', '/').replaceAll('~0', '~')],
      this.#document,
    );
    if (found === undefined) throw new Error(`the document has no ${pointer}`);
    return found as Schema;
  }

  /** The first thing that is wrong with a value; undefined where nothing is. */
  fault(value: unknown, schema: Schema, at = ''): string | undefined {
    return firstOf(
      Object.entries(schema).map(([keyword, said]) => {
        if (ANNOTATIONS.has(keyword)) return undefined;
        const check = this.#checks[keyword];
        if (check === undefined) throw new Error(`a keyword that is not checked: ${keyword}`);
        return check(value, said as never, at, schema);
      }),
    );
  }

  #fitting(value: unknown, schemas: readonly Schema[], at: string): number {
    return schemas.filter((schema) => this.fault(value, schema, at) === undefined).length;
  }
}

function firstOf(faults: readonly (string | undefined)[]): string | undefined {
  return faults.find((fault) => fault !== undefined);
}

function membersOf(value: unknown): [string, unknown][] {
  return isOf(value, 'object') ? Object.entries(value as object) : [];
}

function isOf(value: unknown, type: string): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type && value !== null && !Array.isArray(value);
}
