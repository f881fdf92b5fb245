/** A JSON Schema, in the dialect of OpenAPI 3.1. */
export type Schema = Readonly<Record<string, unknown>>;

export const TEXT: Schema = { type: 'string' };
const COUNT: Schema = { type: 'integer', minimum: 0 };
const SECONDS: Schema = { type: 'number', minimum: 0 };
const TRUTH: Schema = { type: 'boolean' };
const TIME: Schema = { type: 'string', format: 'date-time' };
const POSITION: Schema = { type: 'string', description: 'Where a message stands in a history: `<epoch>:<offset>`, opaque.' };
const CURSOR: Schema = { type: 'string', description: 'Where the next page begins; absent on the last one.' };
const ROOM: Schema = { type: 'string', maxLength: 200 };

/** Every member is there, but for those named, and no other one. */
function object(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, ...(required.length === 0 ? {} : { required }), additionalProperties: false };
}

function listOf(items: Schema): Schema {
  return { type: 'array', items };
}

function orNull(schema: Schema): Schema {
  return { anyOf: [schema, { type: 'null' }] };
}

export function ref(name: keyof typeof SCHEMAS): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

const MISSING: Schema = { type: 'array', items: TEXT, description: 'Gateways of the fleet that did not answer within a second.' };

const LAYER = object({ state: { enum: ['connected', 'away', 'closed'] }, since: TIME, reason: TEXT, partitioned: TRUTH }, ['reason']);

/** Of `data`, `text` and `base64` one. */
const CONTENT = {
  data: { description: 'The payload is the JSON text of this value.' },
  text: { type: 'string', description: 'The payload is this text.' },
  base64: { type: 'string', contentEncoding: 'base64', description: 'The payload is these bytes.' },
} as const;
const ONE_CONTENT = { oneOf: Object.keys(CONTENT).map((name) => ({ required: [name] })) };

const ROOM_FACTS = {
  room: ROOM,
  members: object({ process: { ...COUNT, description: 'Of the gateway that answers.' }, fleet: COUNT }),
  subscribed_at: { ...orNull(TIME), description: 'When the broker last proved a subscription of the room, of those gateways that have one the earliest.' },
  position: orNull(POSITION),
  drops: {
    type: 'object',
    additionalProperties: COUNT,
    description:
      'Deliveries that the room dropped, by reason: `backlog`, too much of it waited; `missed`, readers of a room with `slow` did not keep up. Those that ended with their session are in the metrics alone.',
  },
} as const;

/** Of these one. */
const WHO = { user: TEXT, token: { type: 'string', description: 'Its `jti`, never the token.' }, session: TEXT } as const;
const ONE_OF_WHO = { oneOf: Object.keys(WHO).map((name) => ({ required: [name] })) };
const ALL = { type: 'boolean', description: 'Of a user: also tokens that are issued later.' } as const;

function guarantee(holds: Schema): Schema {
  return object({ holds, why: TEXT });
}

export const SCHEMAS = {
  Error: object({ error: { type: 'string', description: 'A code; it never changes its meaning.' }, message: TEXT }),
  Publish: {
    ...object({ room: ROOM, rooms: { ...listOf(ROOM), minItems: 1, maxItems: 1000 }, ...CONTENT, id: { type: 'string', maxLength: 128 } }, [
      'room',
      'rooms',
      'id',
      ...Object.keys(CONTENT),
    ]),
    allOf: [{ oneOf: [{ required: ['room'] }, { required: ['rooms'] }] }, ONE_CONTENT],
  },
  Published: object({ results: listOf(object({ room: TEXT, position: POSITION, error: TEXT }, ['position', 'error'])) }),
  Rooms: object({ rooms: listOf(object(ROOM_FACTS)), cursor: CURSOR, missing: MISSING }, ['cursor']),
  Room: object({ ...ROOM_FACTS, gateways: listOf(object({ gateway: TEXT, members: COUNT, subscribed_at: orNull(TIME) })), missing: MISSING }),
  Message: { ...object({ type: { const: 'message' }, room: ROOM, ...CONTENT, position: POSITION }, ['position', ...Object.keys(CONTENT)]), ...ONE_CONTENT },
  History: object(
    {
      room: ROOM,
      messages: listOf({ $ref: '#/components/schemas/Message' }),
      position: POSITION,
      recovered: { type: 'boolean', description: 'Whether all that followed the cursor is kept.' },
      cursor: CURSOR,
    },
    ['recovered', 'cursor'],
  ),
  Purged: object({ room: ROOM, purged: { const: true } }),
  Session: object({
    id: TEXT,
    gateway: TEXT,
    identity: object({ user: orNull(TEXT) }),
    address: orNull(TEXT),
    transport: TEXT,
    route: TEXT,
    rooms: listOf(ROOM),
    queued_bytes: COUNT,
    age: SECONDS,
  }),
  Sessions: object({ sessions: listOf({ $ref: '#/components/schemas/Session' }), cursor: CURSOR, missing: MISSING }, ['cursor']),
  Closed: object({ id: TEXT, code: COUNT }),
  Revoke: {
    ...object({ ...WHO, until: { ...TIME, description: 'Within 100 years; a day from now where it is not said.' }, all: ALL }, [
      ...Object.keys(WHO),
      'until',
      'all',
    ]),
    ...ONE_OF_WHO,
  },
  Revoked: { ...object({ ...WHO, until: TIME, all: ALL }, [...Object.keys(WHO), 'all']), ...ONE_OF_WHO },
  Disconnect: object({ user: TEXT, code: { ...COUNT, default: 1012 } }, ['code']),
  Disconnected: object({ user: TEXT, code: COUNT }),
  Gateway: object({
    gateway: TEXT,
    version: TEXT,
    uptime: SECONDS,
    sessions: COUNT,
    rooms: COUNT,
    draining: TRUTH,
    layer: LAYER,
    heartbeat_delay: { ...orNull(SECONDS), description: 'What its last heartbeat took through the broker and back.' },
  }),
  Fleet: object({ gateways: listOf({ $ref: '#/components/schemas/Gateway' }), missing: MISSING }),
  Guarantees: object({
    layer: LAYER,
    guarantees: listOf(
      object({
        route: TEXT,
        kind: TEXT,
        rooms: TEXT,
        delivery: guarantee(TRUTH),
        order: guarantee({ enum: ['total', 'publisher'] }),
        history: guarantee(orNull(object({ size: COUNT, age: SECONDS }))),
        resume: guarantee(TRUTH),
        loss: guarantee({ enum: ['close', 'newest', 'oldest', 'latest'] }),
      }),
    ),
  }),
  Draining: object({ draining: { const: true } }),
} as const satisfies Record<string, Schema>;
