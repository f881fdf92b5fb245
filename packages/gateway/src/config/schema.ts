import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { isPrefix } from '@busgate/layer';
import type { Rate } from '../limits/bucket.ts';
import { COOKIE, jwtSettings, type JwtSettings, subrequestSettings, type SubrequestSettings } from './auth.ts';
import { history, type HistorySetting } from './history.ts';
import { layerUrl } from './layer-url.ts';
import { origins } from './origins.ts';
import { byteRate, paceOf, rate } from './rates.ts';
import { type RoomRule, roomRules } from './room-rules.ts';
import { DEMO_ROUTES, type RouteConfig, type RouteFiles, routes } from './route-settings.ts';
import { trustedProxies } from './trusted-proxies.ts';
import { count, duration, oneOf, orWord, shareOr, size, text, toggle, type ValueType } from './types.ts';

/** The value of each setting by its key. Sizes are in bytes, durations in milliseconds. */
export interface Settings {
  layer: string;
  demo: boolean;
  host: string;
  port: number;
  'ops.host': string;
  'ops.port': number;
  'ops.key': string | undefined;
  workers: number;
  origins: readonly string[];
  trusted_proxies: readonly string[];
  proxy_protocol: boolean;
  routes: readonly RouteConfig[];
  rooms: readonly RoomRule[];
  'auth.jwt': JwtSettings | undefined;
  'auth.http': SubrequestSettings | undefined;
  'auth.query': boolean;
  'auth.cookie': string | undefined;
  'auth.grace': number;
  'limits.message': number;
  'limits.frame': number;
  'limits.outbox': number;
  'limits.outbox_total': number;
  'limits.inbound_total': number;
  /** A share where it is 1 or less, else bytes. */
  'limits.memory': number;
  'limits.room_backlog': number;
  'limits.replay': Rate;
  'limits.replay_total': Rate;
  'limits.layer_message': number;
  'limits.rooms': number;
  'limits.rooms_total': number;
  'limits.sessions': number;
  'limits.address.sessions': number | undefined;
  'limits.address.handshakes': Rate | undefined;
  'limits.user.sessions': number | undefined;
  'limits.user.replace': boolean;
  'limits.fragments': number;
  'limits.handshake': number;
  'limits.message_time': number;
  'limits.errors': number;
  'rate.frames': Rate | undefined;
  'rate.bytes': Rate | undefined;
  'rate.joins': Rate | undefined;
  'rate.publishes': Rate | undefined;
  'rate.control': Rate;
  'http.keep_alive': number;
  'heartbeat.interval': number;
  'heartbeat.timeout': number;
  'drain.notice': number;
  'drain.deadline': number;
  'drain.fleet_rate': number | undefined;
  'ready.layer_grace': number | undefined;
  history: readonly HistorySetting[];
  prefix: string;
  capacity: number;
  expiry: number;
  group_expiry: number;
  'log.level': LogLevel;
  'log.format': LogFormat;
  tracing: boolean;
}

export type SettingKey = keyof Settings;

export type LogFormat = 'auto' | 'text' | 'json';
type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** One thing that an operator can set. */
export interface Setting<T> {
  readonly type: ValueType<T & {}>;
  /** What holds where nothing is said, as the file would say it; undefined: nothing. */
  readonly preset: unknown;
  /** What documents say of the preset where it depends on something. */
  readonly presetText?: string;
  /** Nothing may hold: what uses it says what that means. */
  readonly optional?: true;
  readonly help: string;
  /** Holds credentials: shown masked. */
  readonly secret?: true;
}

export type SettingsSchema = { readonly [K in SettingKey]: Setting<Settings[K]> };

/** What presets depend on. */
export interface Facts extends RouteFiles {
  readonly demo: boolean;
  /** How many descriptors this process may open. */
  readonly descriptors: number;
}

/** Descriptors kept free of sessions: the bus, the ops port, scrapes, files. */
const RESERVED_DESCRIPTORS = 128;

const host = text('localhost (both loopback addresses), * (every interface), an address or a host name', 'HOST', isHost);
const port = count(0, 65_535);
const opsKey: ValueType<string> = {
  ...text('1 to 512 visible ASCII characters; at least 16 that nobody can guess', 'KEY', (value) => /^[\x21-\x7e]{1,512}$/.test(value)),
  write: () => '***',
};
const workers = orWord(count(1, 1024), 'auto', availableParallelism);
const prefix = text('1 to 100 ASCII letters, digits and _ -', 'NAME', isPrefix);

const FLEET_RATE: Setting<number | undefined> = {
  ...setting(
    paceOf(1, 1_000_000),
    undefined,
    'Sessions that all gateways which drain at the same time close a second, together; faster where drain.deadline needs it.',
  ),
  optional: true,
  presetText: 'unset: each gateway keeps a pace of its own',
};

const PROXIES: Pick<SettingsSchema, 'trusted_proxies' | 'proxy_protocol'> = {
  trusted_proxies: {
    ...setting(
      trustedProxies,
      [],
      'Proxies that are believed when they say who asked them: X-Forwarded-For, read from the right, else Forwarded; X-Forwarded-Proto; and with proxy_protocol what begins their connections. The client found so is the one that limits count, an IPv6 address by its /64, and that logs and workers are told of.',
    ),
    presetText: 'none: the client is who is connected',
  },
  proxy_protocol: setting(
    toggle,
    false,
    'Connections of trusted_proxies must begin with the PROXY protocol, version 1 or 2, and those of others must not: else they are refused with 400.',
  ),
};

const SIZES = {
  'limits.message': setting(size('1B', '512MiB'), '64KiB', 'Payload of one message from a client.'),
  'limits.frame': setting(size('1B', '1GiB'), '96KiB', 'One frame of a multiplex route, which holds a payload and its envelope.'),
  'limits.outbox': setting(
    size('1KiB', '4GiB'),
    '1MiB',
    'Bytes that wait for one session before it is too slow a reader. The kernel holds up to tcp_wmem besides.',
  ),
  'limits.outbox_total': setting(size('1KiB', '1024GiB'), '256MiB', 'Bytes that wait for all sessions together; past it the slowest is closed.'),
  'limits.inbound_total': setting(
    size('1KiB', '1024GiB'),
    '64MiB',
    'What all clients together have begun and not finished: requests, frames, fragments, bodies, with what holds them; past it what comes is refused.',
  ),
  'limits.memory': {
    ...setting(
      shareOr(size('16MiB', '1024GiB'), 0.1),
      0.9,
      'What may be held of the memory of the cgroup and not be given back, by all its processes together; where no cgroup has a limit, of the memory of the machine, by this process. Past it new sessions, polls and publishes are refused with 503, `full` on a multiplex route, and then those sessions go for which the most waits.',
    ),
    presetText: '`0.9`: of the limit of the cgroup, or of what the machine has, shared among `workers`',
  },
  'limits.room_backlog': setting(
    size('1KiB', '4GiB'),
    '16MiB',
    'Bytes of one room that wait for their flush; past it the newest are dropped and a gap is told.',
  ),
  'limits.replay': setting(
    byteRate,
    '8MiB/s',
    'Bytes of histories that one session is given, or the polls and histories that one connection asks for; past it they wait. What comes live is not counted.',
  ),
  'limits.replay_total': setting(
    byteRate,
    '64MiB/s',
    'The same for all clients of this process together; a poll or a history that has waited for 5 s is refused with 429.',
  ),
  'limits.layer_message': setting(size('1B', '512MiB'), '1MiB', 'One message on the layer, envelope included.'),
} satisfies Partial<SettingsSchema>;

const RATES: Pick<SettingsSchema, Extract<SettingKey, `rate.${string}`>> = {
  'rate.frames': unset(rate, 'Frames of messages from one session; past it the session is not read for a while.'),
  'rate.bytes': unset(byteRate, 'Bytes from one session; past it the session is not read for a while.'),
  'rate.joins': unset(rate, 'Joins of one session; past it they are answered with rate, and the limits.errors-th of these in a minute ends it with 4429.'),
  'rate.publishes': unset(
    rate,
    'Publishes of one session; past it they are answered with rate, and the limits.errors-th of these in a minute ends it with 4429: on a raw route the first, unless its on_publish_failure is stay.',
  ),
  'rate.control': setting(rate, '20/s', 'Pings of one session, and pongs that answer nothing; past it the session is not read for a while.'),
};

const OBSERVED: Pick<SettingsSchema, 'log.level' | 'log.format' | 'tracing'> = {
  'log.level': setting(oneOf('debug', 'info', 'warn', 'error'), 'info', 'The least that is logged.'),
  'log.format': setting(oneOf('auto', 'text', 'json'), 'auto', 'Lines for people, or JSON; auto: for people on a terminal, JSON elsewhere.'),
  tracing: setting(
    toggle,
    false,
    'Follows the traces of what is published and asked with a traceparent, with the OpenTelemetry SDK that the process was started with.',
  ),
};

/** Every setting, in the order of documents: key, type, preset, help. Its variable and flag follow from the key. */
export function schema(facts: Facts): SettingsSchema {
  return {
    layer: {
      ...setting(layerUrl, 'memory:', 'The layer that carries rooms between processes. memory: is a bus within this process.'),
      secret: true,
    },
    demo: setting(toggle, false, 'Opens every room to everybody, serves a page to try it, and listens on loopback only.'),
    host: {
      ...setting(host, facts.demo ? 'localhost' : '*', 'The address that clients connect to.'),
      presetText: 'every interface; with `demo`: `localhost`',
    },
    port: setting(port, 8080, 'The port that clients connect to; 0 takes a free one.'),
    ...ops(),
    workers: setting(workers, 1, 'Processes that share the port, each a whole gateway with limits of its own; auto: one a core. Not with memory:.'),
    origins: {
      ...setting(origins, [], 'Origins whose pages may connect.'),
      presetText:
        'that of the host that was asked, over https, or where it is localhost or an address: over http any page may give this machine a name of its own',
    },
    ...PROXIES,
    routes: {
      ...setting(routes(facts.demo, facts), facts.demo ? DEMO_ROUTES : undefined, 'The paths that clients find, and who may join and publish there.'),
      presetText: 'none, and it must be said; with `demo`: `/room/:room` and `/socket`, open to everybody',
    },
    rooms: {
      ...setting(
        roomRules,
        [],
        'What holds for rooms by their names, whatever route they are reached by. The first rule whose pattern covers a room holds for it, and no other one; a client may do what both the route and that rule let it.',
      ),
      presetText: 'none: as the routes say',
    },
    ...auth(facts),
    ...limits(facts),
    ...RATES,
    'http.keep_alive': setting(
      duration('1s', '24h'),
      '2m',
      'A connection without a request stays open this long: longer than the proxy before it keeps its own, or a POST may meet a closing one.',
    ),
    'heartbeat.interval': setting(duration('100ms', '1h'), '25s', 'A session is pinged this often.'),
    'heartbeat.timeout': setting(duration('100ms', '1h'), '10s', 'A session that has not answered a ping for so long is ended.'),
    'drain.notice': setting(duration('0s', '1h'), '5s', 'After SIGTERM: not ready, but still accepting, until load balancers have noticed.'),
    'drain.deadline': setting(duration('100ms', '24h'), '30s', 'After SIGTERM: the process has ended by then.'),
    'drain.fleet_rate': FLEET_RATE,
    'ready.layer_grace': {
      ...setting(duration('0s', '24h'), undefined, 'Not ready once the layer has been away for so long.'),
      optional: true,
      presetText: 'unset: a layer that goes away leaves it ready',
    },
    history: { ...setting(history, [], 'Which rooms keep their messages, by pattern; the first that matches wins.'), presetText: 'none' },
    prefix: setting(prefix, 'busgate', 'First level of every key and subject at the broker.'),
    capacity: setting(count(1, 1_000_000), 100, 'Unexpired messages that may wait in one channel.'),
    expiry: setting(duration('1ms', '24d'), '60s', 'A message of a channel lives this long.'),
    group_expiry: setting(duration('1ms', '24d'), '24h', 'A membership of a group lives this long.'),
    ...OBSERVED,
  };
}

function ops(): Pick<SettingsSchema, Extract<SettingKey, `ops.${string}`>> {
  return {
    'ops.host': {
      ...setting(host, 'localhost', 'The address of the ops port. It must never be public.'),
      presetText: '`localhost`, both loopback addresses',
    },
    'ops.port': setting(port, 9090, 'The port of /metrics, /healthz and /readyz; 0 takes a free one.'),
    'ops.key': {
      ...setting(opsKey, undefined, 'Opens the API and the page of the ops port to whoever sends it as `Authorization: Bearer`.'),
      optional: true,
      secret: true,
      presetText: 'unset: the ops port has health and metrics only',
    },
  };
}

function auth({ readFile }: Facts): Pick<SettingsSchema, Extract<SettingKey, `auth.${string}`>> {
  return {
    'auth.jwt': { ...setting(jwtSettings(readFile), undefined, 'How tokens of clients are checked.'), optional: true, presetText: 'unset: nobody has a token' },
    'auth.http': {
      ...setting(subrequestSettings, undefined, 'An application that is asked who a client is, by the headers of its request.'),
      optional: true,
      presetText: 'unset: none is asked',
    },
    'auth.query': setting(toggle, false, 'Whether a token may stand in the target as ?token=, where other servers may log it.'),
    'auth.cookie': {
      ...setting(COOKIE, undefined, 'The cookie in which a token may stand. Needs auth.jwt.'),
      optional: true,
      presetText: 'unset: none',
    },
    'auth.grace': setting(duration('0s', '1h'), '25s', 'A session whose token has ended is closed after so long, unless it sends another one.'),
  };
}

function limits(facts: Facts): Pick<SettingsSchema, Extract<SettingKey, `limits.${string}`>> {
  return {
    ...SIZES,
    'limits.rooms': setting(count(1, 1_000_000), 1000, 'Rooms of one session.'),
    'limits.rooms_total': setting(
      count(1, 10_000_000),
      50_000,
      'Rooms that this process holds, also those that it is about to let go; past it no other is joined.',
    ),
    'limits.sessions': {
      ...setting(count(1, 10_000_000), sessionsFor(facts.descriptors), 'Sessions of this process; past it upgrades are refused with 503.'),
      presetText: `the descriptor limit (\`ulimit -n\`) less ${RESERVED_DESCRIPTORS}`,
    },
    'limits.address.sessions': unset(
      count(1, 10_000_000),
      'Sessions of one address in this process, an IPv6 one with its /64; past it upgrades are refused with 429.',
    ),
    'limits.address.handshakes': unset(
      rate,
      'Sessions, polls and histories that one address, an IPv6 one with its /64, may ask this process for; past it they are refused with 429.',
    ),
    'limits.user.sessions': unset(
      count(1, 1_000_000),
      'Sessions of one user in this process; past it upgrades are refused with 429. Needs auth.jwt or auth.http.',
    ),
    'limits.user.replace': setting(toggle, false, 'A session past limits.user.sessions is let in, and ends the oldest one of its user with 4409 in its place.'),
    'limits.fragments': setting(count(1, 16_384), 1024, 'Frames of one message.'),
    'limits.handshake': setting(duration('100ms', '10m'), '10s', 'From connecting to the end of the request headers.'),
    'limits.message_time': setting(duration('100ms', '1h'), '30s', 'From the first byte of a message to its last.'),
    'limits.errors': setting(count(1, 1_000_000), 20, 'Error frames to one session in a minute; the last of them closes it.'),
  };
}

function setting<T>(type: ValueType<T & {}>, preset: unknown, help: string): Setting<T> {
  return { type, preset, help };
}

/** A limit that is none until it is said. */
function unset<T>(type: ValueType<T & {}>, help: string): Setting<T | undefined> {
  return { ...setting<T | undefined>(type as ValueType<T & {}>, undefined, help), optional: true, presetText: 'unset: no limit' };
}

function sessionsFor(descriptors: number): number {
  return Math.max(descriptors - RESERVED_DESCRIPTORS, Math.floor(descriptors / 2), 1);
}

function isHost(value: string): boolean {
  return value === '*' || isIP(value) > 0 || (value.length <= 253 && /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*\.?$/.test(value));
}
