import { LAYER_URLS } from '@busgate/layer';
import type { Access } from './access.ts';
import type { SettingKey } from './schema.ts';
import type { Config } from './values.ts';

/** What was said and could not be read. */
type Unread = ReadonlySet<SettingKey>;

/** Settings that do not fit each other, one sentence each. A value that could not be read is undefined here, and fits everything. */
export function inconsistencies(config: Config, unread: Unread): string[] {
  const { limits, drain, ops } = config;
  return [
    workersFault(config),
    queueFault(config),
    authFault(config, unread),
    cookieFault(config, unread),
    limits.message > limits.layerMessage && 'limits.message must not be larger than limits.layer_message: such messages could not leave the gateway',
    limits.frame > limits.inboundTotal && 'limits.frame must not be larger than limits.inbound_total, which is for all clients together',
    limits.message > limits.inboundTotal && 'limits.message must not be larger than limits.inbound_total, which is for all clients together',
    limits.outbox > limits.outboxTotal && 'limits.outbox must not be larger than limits.outbox_total, which is for all sessions together',
    proxyFault(config),
    userFault(config, unread),
    limits.user.replace && limits.user.sessions === undefined && 'limits.user.replace needs limits.user.sessions, past which it holds',
    drain.notice >= drain.deadline && 'drain.notice must be shorter than drain.deadline, which is counted from the signal too',
    ops.port === config.port && ops.port > 0 && overlap(ops.host, config.host) && `ops.port must not be port (${config.port}): the ops port is never public`,
  ].filter((fault) => typeof fault === 'string');
}

function workersFault({ workers, layer }: Config): string | false {
  if (workers === undefined || layer === undefined || workers === 1 || !layer.startsWith('memory:')) return false;
  return `workers is ${workers}, but memory: is a bus within one process; layers that several can share: ${LAYER_URLS.replace('memory:, ', '')}`;
}

function queueFault({ routes, layer }: Config): string | false {
  if (routes === undefined || layer === undefined || !layer.startsWith('memory:')) return false;
  const route = routes.find((one) => one.kind === 'events' && one.backend === undefined);
  return (
    route !== undefined &&
    `the route ${route.path.text} gives events to a worker queue, but with memory: no worker could reach it; layers that workers can: redis://, rediss://, redis-sentinel://, redis-cluster://, nats://, tls://`
  );
}

function proxyFault({ proxyProtocol, trustedProxies }: Config): string | false {
  return proxyProtocol && trustedProxies?.length === 0 && 'proxy_protocol needs trusted_proxies: nobody else is believed what it says';
}

function cookieFault({ auth }: Config, unread: Unread): string | false {
  return (
    auth.cookie !== undefined && auth.jwt === undefined && !unread.has('auth.jwt') && 'auth.cookie needs auth.jwt, which says how the token in it is checked'
  );
}

/** Nobody is counted by user where nobody has one. */
function userFault({ limits, auth }: Config, unread: Unread): string | false {
  return (
    limits.user.sessions !== undefined && !isAsked(auth, unread) && 'limits.user.sessions needs auth.jwt or auth.http, which say who the user of a session is'
  );
}

/** Who would have to be known, where nobody is asked. */
function authFault({ routes = [], rooms = [], auth }: Partial<Config>, unread: Unread): string | false {
  if (isAsked(auth, unread)) return false;
  const route = routes.find((one) => 'join' in one && (asksWho(one.join) || asksWho(one.publish)));
  const rule = rooms.find((one) => asksWho(one.join) || asksWho(one.publish) || one.owned.length > 0);
  if (route === undefined && rule === undefined) return false;
  const name = route === undefined ? `the rule of the rooms ${rule?.rooms}` : `the route ${route.path.text}`;
  return `${name} is for those who are known, so auth.jwt or auth.http must be said`;
}

/** Whether clients are asked who they are. */
function isAsked(auth: Config['auth'] | undefined, unread: Unread): boolean {
  return auth?.jwt !== undefined || auth?.http !== undefined || unread.has('auth.jwt') || unread.has('auth.http');
}

function asksWho(access: Access | undefined): boolean {
  return access === 'user' || access === 'token';
}

function overlap(a: string, b: string): boolean {
  return a === b || a === '*' || b === '*';
}
