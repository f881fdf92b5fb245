import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { freePort } from '../../support/ports.ts';
import { GatewayProcess } from '../../support/processes.ts';
import { startPinned } from '../rig/pinned.ts';
import { type Running, startOneWayCentrifugo, startNchan } from './rivals.ts';

const ROUTES = "[{path: '/room/:room', kind: room, join: anyone, publish: nobody}]";
const HISTORY = '[{rooms: kept, size: 100, age: 5m}]';
const GATEWAY = join(import.meta.dirname, '../../../packages/gateway/src/cli.ts');

/** A server, and one of its transports. */
export interface Subject {
  readonly title: string;
  readonly server: 'busgate' | 'nchan' | 'centrifugo';
  readonly path: string;
  /** Lines of the request's head, beside `Host`. */
  readonly lines: () => readonly string[];
  /** What a client is sent once it hears; the end of the head, unless the server says so later. */
  readonly opens?: string;
  /** Where it is polled: what the next request is, from the answer to the last one. */
  readonly next?: (answer: string) => { readonly path: string; readonly lines: readonly string[] };
}

const upgrade = (): readonly string[] => [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
];
const accept = (type: string) => (): readonly string[] => [`Accept: ${type}`];
const nothing = (): readonly string[] => [];

/** What stands in an answer. */
function found(answer: string, what: RegExp): string {
  const [, value] = what.exec(answer) ?? [];
  if (value === undefined) throw new Error(`no ${what} in ${answer.slice(0, 400)}`);
  return value;
}

const SUBSCRIBE = `cf_connect=${encodeURIComponent(JSON.stringify({ subs: { bench: {} } }))}`;

/** Everything compared, by the name it has on the command line, in the order of the tables. */
export const subjects: Readonly<Record<string, Subject>> = {
  websocket: { title: 'WebSocket', server: 'busgate', path: '/room/bench', lines: upgrade },
  sse: { title: 'server-sent events', server: 'busgate', path: '/room/bench', lines: accept('text/event-stream') },
  lines: { title: 'lines of JSON', server: 'busgate', path: '/room/bench', lines: accept('application/x-ndjson') },
  poll: {
    title: 'polls that wait',
    server: 'busgate',
    path: '/room/kept?poll=60',
    lines: nothing,
    next: (answer) => ({ path: `/room/kept?poll=60&since=${found(answer, /"cursor":"([^"]+)"/)}`, lines: [] }),
  },
  'nchan-websocket': { title: 'Nchan, WebSocket', server: 'nchan', path: '/sub', lines: upgrade },
  'nchan-sse': { title: 'Nchan, server-sent events', server: 'nchan', path: '/sub', lines: accept('text/event-stream') },
  'nchan-poll': {
    title: 'Nchan, polls that wait',
    server: 'nchan',
    path: '/poll',
    lines: nothing,
    next: (answer) => ({
      path: '/poll',
      lines: [`If-Modified-Since: ${found(answer, /^Last-Modified: (.*)\r$/im)}`, `If-None-Match: ${found(answer, /^Etag: (.*)\r$/im)}`],
    }),
  },
  'centrifugo-websocket': {
    title: 'Centrifugo, WebSocket',
    server: 'centrifugo',
    path: `/connection/uni_websocket?${SUBSCRIBE}`,
    lines: upgrade,
    opens: '"subs"',
  },
  'centrifugo-sse': {
    title: 'Centrifugo, server-sent events',
    server: 'centrifugo',
    path: `/connection/uni_sse?${SUBSCRIBE}`,
    lines: accept('text/event-stream'),
    opens: '"subs"',
  },
};

/** A request of a client of a subject. */
export function requestOf(path: string, lines: readonly string[], port: number): string {
  return [`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, ...lines, '', ''].join('\r\n');
}

/** Of a large machine V8 takes tens of MiB for what is new, which would be counted to the clients: docs/operations.md. */
const YOUNG = '--max-semi-space-size=8';

/** The gateway as its users start it, but for that. */
async function startBusgate(core: number, redisUrl: string): Promise<Running> {
  const [port, opsPort] = [await freePort(), await freePort()];
  const serve = ['serve', '--layer', redisUrl, '--routes', ROUTES, '--history', HISTORY, '--port', port, '--ops-port', opsPort];
  const child = startPinned(core, process.execPath, [YOUNG, '--conditions=@busgate/source', GATEWAY, ...serve]);
  await new GatewayProcess(child, port, opsPort).answers('/readyz');
  return { child, port };
}

const STARTERS: Readonly<Record<Subject['server'], (core: number, redisUrl: string) => Promise<Running>>> = {
  busgate: startBusgate,
  nchan: startNchan,
  centrifugo: startOneWayCentrifugo,
};

export function start({ server }: Subject, core: number, redisUrl: string): Promise<Running> {
  return STARTERS[server](core, redisUrl);
}
