import { ALGORITHMS } from '../../src/config/jwt-key.ts';
import { DOCUMENTED, flagOf, KEYS, variableOf } from '../../src/config/keys.ts';
import type { Setting } from '../../src/config/schema.ts';

/** docs/config.md, from the schema. */
export function configDocument(): string {
  return `# Configuration

<!-- Made from packages/gateway/src/config by \`npm run docs\`. -->

A YAML file (\`--config FILE\` or \`BUSGATE_CONFIG\`), over it the environment, over that flags: all from one schema. Key \`drain.notice\` is
\`drain: {notice: 5s}\` in the file, \`BUSGATE_DRAIN_NOTICE\` and \`--drain-notice\`. Durations and sizes carry a unit; a bare number is refused.
What is unknown or wrong stops the start, all of it at once, with the nearest name and what is allowed. \`busgate config\` shows what is in force,
secrets masked. A secret may stand in a file of its own: \`BUSGATE_LAYER_FILE\` names it.

The smallest file:

\`\`\`yaml
layer: redis://redis:6379
origins: ['https://app.example']
routes:
  - { path: '/room/:room', kind: room, join: anyone, publish: nobody }
  - { path: /socket, kind: multiplex, join: anyone, publish: nobody }
\`\`\`

${KEYS.map(section).join('\n')}
## A route

| member | |
| --- | --- |
| \`path\` | \`/room/:room\`, where \`:room\` is one segment of the path; \`/app/*\`, where \`*\` takes the rest of it (the parameter \`rest\`); \`/ws/chat/:room/\` with a slash at its end; or \`{regex: "^/r/(?<room>[a-z]+)$"}\`, a regular expression over the whole path with named groups, in RE2 syntax: it matches in linear time, and has neither backreferences nor lookaround |
| \`kind\` | \`room\`: each frame is a message of the room in the path. \`multiplex\`: many rooms on one connection, JSON frames. \`events\`, \`consumer\`: below |
| \`join\` | who may: \`anyone\`; \`user\`, whoever is identified; \`token\`, whoever has a token that names the room; \`nobody\`. Must be said; with \`demo\`: \`anyone\` |
| \`publish\` | likewise, by frames and by POST. Must be said; with \`demo\`: \`anyone\` |
| \`frames\` | of a room route: \`auto\` (a text frame where the payload is valid UTF-8, the empty one included, else a binary one), \`text\` or \`binary\`. Default \`auto\` |
| \`on_gap\` | of a room route, where messages may have been lost: \`stay\`, or \`close\` with 1012. Default \`stay\` |
| \`on_publish_failure\` | of a room route, where the layer does not take a message that a session sent, or nobody can tell: \`close\` with 1013, or \`stay\`, which tells the client nothing. Default \`close\` |

Of \`kind: events\`, a socket whose logic lives in workers or in a backend ([PROTOCOL.md](../PROTOCOL.md)):

| member | |
| --- | --- |
| \`queue\` | the worker queue that events go to; this or \`url\` |
| \`url\` | the http or https URL that each event is posted to, without workers and also with \`memory:\` |
| \`secret\` | with \`url\`: \`whsec_\` and 24 to 64 bytes in base64, by which what is posted is signed; or a list of two while one replaces the other. Default: not signed |
| \`secret_file\` | in its place: a file that holds it, or two, one a line |
| \`concurrency\` | with \`url\`: events that each gateway has under way at a time. Default 256 |
| \`http\` | \`true\`: plain requests of the path become events, too. Default \`false\` |
| \`accept_timeout\`, \`handler_timeout\`, \`resume_timeout\` | how long a connect may wait for its answer, any other event for being done, and a session for another worker. Default \`10s\`, \`30s\`, \`30s\` |
| \`capacity\` | events that may wait in the queue. Default 10000. NATS has one bound for all queues: the highest of these and [capacity](#capacity) |
| \`window\` | events of a session that are under way at a time. Default 1 |
| \`acks\` | \`false\`: an event is done when the queue has taken it. Default \`true\` |
| \`frames\` | as above, for messages of rooms that the session is in |
| \`on_worker_loss\` | \`resume\`: another worker gets the session; or \`close\` with 1012. Default \`resume\` |

Of \`kind: consumer\`, a socket whose handlers run in the gateway's own process ([\`@busgate/consumer\`](../packages/consumer/README.md)), with any layer:

| member | |
| --- | --- |
| \`module\` | the TypeScript or JavaScript file that exports them, relative to the file of settings, or to the working directory where there is none. It is read at the start and with SIGHUP |
| \`http\` | \`true\`: plain requests of the path have handlers, too. Default \`false\` |
| \`accept_timeout\`, \`handler_timeout\` | how long a handler may take to accept or refuse, and for a message or a request. Default \`10s\`, \`30s\` |
| \`frames\` | as above, for messages of rooms that the session is in |

## A rule of rooms

A room is under the strictest of what its route and the first rule that matches say ([docs/guides/auth.md](guides/auth.md)).

| member | |
| --- | --- |
| \`rooms\` | a room name in which a level may be \`*\`, and the last one \`>\` for all that follow. A level \`{sub}\` stands for any one, and only the user of that name has those rooms |
| \`join\`, \`publish\` | as on a route. Default: as the route says |
| \`slow\` | what becomes of a reader that cannot keep up. \`close\`: its session ends with 1013. Else it loses messages of these rooms, and is told at each place how many: \`newest\`, what comes while too much waits; \`oldest\`, what has waited the longest; \`latest\`, what a later message replaces, so that the last one is kept. Default \`close\` |
| \`key\` | with \`latest\`: the member of JSON messages whose text, number or truth value tells messages apart, so that the last one of each is kept; those without it are alike. Default: the last one of all |

What may wait for a session in rooms with a \`slow\` of their own is as much again as \`limits.outbox\`, in equal shares for each of these rooms that it is in; its other rooms, and other sessions, notice nothing.

## auth.jwt

| member | |
| --- | --- |
| \`jwks\` | the URL where the issuer publishes its keys; this, \`key\` or \`key_file\` |
| \`key\` | a public key or certificate in PEM, or a secret that the issuer has too |
| \`key_file\` | in its place: a file that holds it |
| \`algorithms\` | those that tokens may be signed with, of ${ALGORITHMS.join(', ')}. Must be said |
| \`issuer\` | what \`iss\` must be. Default: anything |
| \`audience\` | what \`aud\` must hold, or a list of which it must hold one. Default: anything |
| \`leeway\` | how far the issuer's clock may be off. Default \`0s\` |
| \`max_age\` | how long a token holds from its \`iat\` on, also one without \`exp\`, which is required else |

## auth.http

| member | |
| --- | --- |
| \`url\` | the http or https URL that is asked by GET who a client is |
| \`headers\` | those of the client's that it is given. Default \`[cookie, authorization]\` |
| \`timeout\` | how long it may take. Default \`2s\` |
| \`cache\` | how long an answer holds for the same question. Default \`0s\`: every client is asked about |

## A rule of history

| member | |
| --- | --- |
| \`rooms\` | a room name in which a level may be \`*\`, and the last one \`>\` for all that follow |
| \`size\` | messages kept, 1 to 1000000 |
| \`age\` | how long each is kept, such as \`5m\`; or \`ageMs\` in milliseconds, as \`openLayer\` takes it |
`;
}

function section(key: (typeof KEYS)[number]): string {
  const setting: Setting<unknown> = DOCUMENTED[key];
  const preset = setting.presetText ?? `\`${String(setting.preset)}\``;
  const secret = setting.secret === true ? ` Secret; \`${variableOf(key)}_FILE\` names a file that holds it.` : '';
  return `## \`${key}\`

${setting.help}${secret}

- Allowed: ${setting.type.allowed}
- Default: ${preset}
- \`${variableOf(key)}\`, \`${flagOf(key)}\`
`;
}
