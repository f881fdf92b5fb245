import { ref, type Schema, SCHEMAS, TEXT } from './openapi/schemas.ts';
import { MOST } from './paging.ts';
import { CLOSE_CODE } from './written.ts';

type Method = 'get' | 'post' | 'delete';

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: true;
  readonly description: string;
  readonly schema: Schema;
}

interface Operation {
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly body?: keyof typeof SCHEMAS;
  /** Its status, and what it is. */
  readonly answer: readonly [status: 200 | 202, schema: keyof typeof SCHEMAS | 'stream'];
}

const LIMIT: Parameter = {
  name: 'limit',
  in: 'query',
  description: 'How many a page has at most.',
  schema: { type: 'integer', minimum: 1, maximum: MOST, default: 100 },
};
const CURSOR: Parameter = { name: 'cursor', in: 'query', description: 'Where the page begins, as the one before it said.', schema: TEXT };
const ROOM: Parameter = { name: 'room', in: 'path', required: true, description: 'The name of a room.', schema: TEXT };
const SESSION: Parameter = { name: 'session', in: 'path', required: true, description: 'The id of a session.', schema: TEXT };
const CODE: Parameter = {
  name: 'code',
  in: 'query',
  description: `It must be ${CLOSE_CODE.must}.`,
  schema: { type: 'integer', default: 1012 },
};

const TRACEPARENT: Parameter = {
  name: 'traceparent',
  in: 'header',
  description: 'W3C Trace Context: the trace that is to be followed, with the setting `tracing`.',
  schema: TEXT,
};

const OPERATIONS: Readonly<Record<string, Partial<Record<Method, Operation>>>> = {
  '/api/publish': {
    post: { summary: 'Publishes a payload to a room, or to up to 1000 at once.', parameters: [TRACEPARENT], body: 'Publish', answer: [200, 'Published'] },
  },
  '/api/rooms': {
    get: {
      summary: 'Rooms of the fleet that have members, by name.',
      parameters: [query('match', 'A pattern by levels: `*` for one, a final `>` for all that follow.'), LIMIT, CURSOR],
      answer: [200, 'Rooms'],
    },
  },
  '/api/rooms/{room}': { get: { summary: 'A room in the whole fleet.', parameters: [ROOM], answer: [200, 'Room'] } },
  '/api/rooms/{room}/history': {
    get: { summary: 'What is kept of a room: without a cursor the newest messages.', parameters: [ROOM, LIMIT, CURSOR], answer: [200, 'History'] },
    delete: { summary: 'Lets go of what is kept of a room.', parameters: [ROOM], answer: [200, 'Purged'] },
  },
  '/api/sessions': {
    get: {
      summary: 'Sessions of the fleet: gateways by name, and of each the oldest first.',
      parameters: [
        query('user', 'Only those of this user.'),
        query('address', 'Only those of clients at this address.'),
        query('room', 'Only those that are in this room.'),
        LIMIT,
        CURSOR,
      ],
      answer: [200, 'Sessions'],
    },
  },
  '/api/sessions/{session}': {
    get: { summary: 'A session, at whatever gateway it is.', parameters: [SESSION], answer: [200, 'Session'] },
    delete: { summary: 'Ends a session, at whatever gateway it is.', parameters: [SESSION, CODE], answer: [200, 'Closed'] },
  },
  '/api/revoke': {
    post: {
      summary: 'Ends the sessions of a user, a token or a session id in the whole fleet, and lets them in no more.',
      body: 'Revoke',
      answer: [200, 'Revoked'],
    },
  },
  '/api/disconnect': {
    post: { summary: 'Ends all sessions of a user in the whole fleet, who may come back.', body: 'Disconnect', answer: [200, 'Disconnected'] },
  },
  '/api/tap/{room}': {
    get: {
      summary: 'Live messages of a room as an event stream: `message` with a Message, `gap`, and `skipped` with the `count` of those that were left out.',
      parameters: [
        ROOM,
        { name: 'rate', in: 'query', description: 'Messages a second at most.', schema: { type: 'integer', minimum: 1, maximum: 1000, default: 50 } },
      ],
      answer: [200, 'stream'],
    },
  },
  '/api/fleet': { get: { summary: 'Every gateway of the fleet.', answer: [200, 'Fleet'] } },
  '/api/guarantees': { get: { summary: 'What holds just now for each route and each pattern of rooms, and why not more.', answer: [200, 'Guarantees'] } },
  '/api/drain': { post: { summary: 'Begins to drain the process whose port this is, as SIGTERM does.', answer: [202, 'Draining'] } },
};

/** The document of the operator's API, OpenAPI 3.1. */
export function openApi(version: string): object {
  const paths = Object.entries(OPERATIONS).map(([path, operations]) => [
    path,
    Object.fromEntries(Object.entries(operations).map(([method, operation]) => [method, operationObject(operation)])),
  ]);
  return {
    openapi: '3.1.0',
    info: {
      title: "Busgate's operator API",
      version,
      description: 'On the ops port, which is never public. Errors are `{"error","message"}`.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ key: [] }],
    paths: Object.fromEntries(paths) as object,
    components: { securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'The setting `ops.key`.' } }, schemas: SCHEMAS },
  };
}

function operationObject({ summary, parameters, body, answer: [status, schema] }: Operation): object {
  const content = schema === 'stream' ? { 'text/event-stream': { schema: TEXT } } : json(ref(schema));
  return {
    summary,
    ...(parameters === undefined ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: json(ref(body)) } }),
    responses: { [status]: { description: 'Done.', content }, default: { description: 'Refused.', content: json(ref('Error')) } },
  };
}

function json(schema: Schema): object {
  return { 'application/json': { schema } };
}

function query(name: string, description: string): Parameter {
  return { name, in: 'query', description, schema: TEXT };
}
