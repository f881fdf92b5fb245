import { isName, NAME_RULE } from '@busgate/layer';
import { ConfigError, shown } from '../config/faults.ts';
import { isRoomPattern, ROOMS as PATTERN } from '../config/room-pattern.ts';
import type { GatewayFacts, SessionFacts } from '../fleet/calls.ts';
import { CLOSE_CODE } from '../ops/written.ts';
import { note } from './reasons.ts';
import { OpsClient } from './operate/api.ts';
import type { Environment } from '../config/environment.ts';
import { demand, readAsked } from './operate/asked.ts';
import { bytes, type Column, duration, table, wantsColour } from './operate/table.ts';

/** Answers of the whole fleet say who is missing in them. */
type Told = Readonly<Record<string, unknown>> & { readonly missing?: readonly string[] };

interface RoomRow {
  readonly room: string;
  readonly members: { readonly process: number; readonly fleet: number };
  readonly subscribed_at: string | null;
  readonly position: string | null;
  readonly drops: Readonly<Record<string, number>>;
}

const SESSIONS: readonly Column<SessionFacts>[] = [
  { title: 'SESSION', show: ({ id }) => id },
  { title: 'USER', show: ({ identity }) => identity.user ?? '-' },
  { title: 'ADDRESS', show: ({ address }) => address ?? '-' },
  { title: 'TRANSPORT', show: ({ transport }) => transport },
  { title: 'ROUTE', show: ({ route }) => route },
  {
    title: 'QUEUED',
    right: true,
    show: ({ queued_bytes: queued }) => bytes(queued),
    colour: ({ queued_bytes: queued }) => (queued > 0 ? 'yellow' : undefined),
  },
  { title: 'AGE', right: true, show: ({ age }) => duration(age) },
  { title: 'ROOMS', show: ({ rooms }) => `${rooms.slice(0, 3).join(' ')}${rooms.length > 3 ? ` and ${rooms.length - 3} more` : ''}` },
];

const ROOMS: readonly Column<RoomRow>[] = [
  { title: 'ROOM', show: ({ room }) => room },
  { title: 'MEMBERS', right: true, show: ({ members }) => String(members.fleet) },
  { title: 'HERE', right: true, show: ({ members }) => String(members.process) },
  { title: 'POSITION', show: ({ position }) => position ?? '-' },
  { title: 'SUBSCRIBED', show: ({ subscribed_at: at }) => at ?? '-' },
  { title: 'DROPS', show: ({ drops }) => dropsOf(drops), colour: ({ drops }) => (dropsOf(drops) === '-' ? undefined : 'yellow') },
];

const GATEWAYS: readonly Column<GatewayFacts>[] = [
  { title: 'GATEWAY', show: ({ gateway }) => gateway },
  { title: 'VERSION', show: ({ version }) => version },
  { title: 'UPTIME', right: true, show: ({ uptime }) => duration(uptime) },
  { title: 'SESSIONS', right: true, show: ({ sessions }) => String(sessions) },
  { title: 'ROOMS', right: true, show: ({ rooms }) => String(rooms) },
  { title: 'STATE', show: ({ draining }) => (draining ? 'draining' : 'serving'), colour: ({ draining }) => (draining ? 'yellow' : 'green') },
  {
    title: 'LAYER',
    show: ({ layer }) => (layer.partitioned ? `${layer.state}, partitioned` : layer.state),
    colour: ({ layer }) => (layer.state === 'connected' && !layer.partitioned ? 'green' : 'red'),
  },
  { title: 'HEARTBEAT', right: true, show: ({ heartbeat_delay: delay }) => (delay === null ? '-' : `${Math.round(delay * 10_000) / 10}ms`) },
];

/** `busgate sessions`: those of the whole fleet. */
export async function sessions(argv: readonly string[], env: Environment): Promise<number> {
  const asked = readAsked(argv, env, ['user', 'address', 'room'], []);
  demand('--room', asked.said.room, isName, 'the name of a room');
  const { rows, missing } = await all<SessionFacts>(new OpsClient(asked), '/api/sessions', 'sessions', asked.said);
  return show('sessions', asked.json, { sessions: rows, missing }, () => table(SESSIONS, rows, wantsColour(process.stdout, env)));
}

/** `busgate rooms [PATTERN]`. */
export async function rooms(argv: readonly string[], env: Environment): Promise<number> {
  const asked = readAsked(argv, env, [], ['[PATTERN]']);
  demand('PATTERN', asked.words[0], isRoomPattern, PATTERN.allowed);
  const { rows, missing } = await all<RoomRow>(new OpsClient(asked), '/api/rooms', 'rooms', { match: asked.words[0] });
  const sorted = rows.toSorted((a, b) => b.members.fleet - a.members.fleet);
  return show('rooms', asked.json, { rooms: rows, missing }, () => table(ROOMS, sorted, wantsColour(process.stdout, env)));
}

/** `busgate fleet`. */
export async function fleet(argv: readonly string[], env: Environment): Promise<number> {
  const asked = readAsked(argv, env, [], []);
  const answer = await new OpsClient(asked).ask<{ gateways: GatewayFacts[]; missing: string[] }>('GET', '/api/fleet');
  return show('fleet', asked.json, answer, () => table(GATEWAYS, answer.gateways, wantsColour(process.stdout, env)));
}

/** `busgate close SESSION`. */
export async function close(argv: readonly string[], env: Environment): Promise<number> {
  const asked = readAsked(argv, env, ['code'], ['SESSION']);
  demand('--code', asked.said.code, (code) => CLOSE_CODE.read(code) !== undefined, CLOSE_CODE.must);
  const session = asked.words[0] ?? '';
  const answer = await new OpsClient(asked).ask<{ code: number }>('DELETE', `/api/sessions/${encodeURIComponent(session)}`, asked.said);
  return show('close', asked.json, answer, () => `closed with ${answer.code}\n`);
}

/** `busgate drain`: the gateway that is asked, as SIGTERM does. */
export async function drain(argv: readonly string[], env: Environment): Promise<number> {
  const asked = readAsked(argv, env, [], []);
  const answer = await new OpsClient(asked).ask<Record<string, unknown>>('POST', '/api/drain');
  return show('drain', asked.json, answer, () => 'draining\n');
}

/** The room of a command line. */
export function roomIn(words: readonly string[]): string {
  const [room = ''] = words;
  if (!isName(room)) throw new ConfigError([`ROOM is ${shown(room, false)}, but ${NAME_RULE}`]);
  return room;
}

async function all<T>(
  client: OpsClient,
  path: string,
  list: string,
  query: Readonly<Record<string, string | undefined>>,
): Promise<{ rows: T[]; missing: string[] }> {
  const rows: T[] = [];
  const missing = new Set<string>();
  for await (const page of client.pages<{ cursor?: string; missing: string[] }>(path, query)) {
    rows.push(...((page as unknown as Record<string, T[]>)[list] ?? []));
    for (const gateway of page.missing) missing.add(gateway);
  }
  return { rows, missing: [...missing] };
}

/** One JSON document, or what people read; who has not answered is told beside it. */
function show(command: string, json: boolean, answer: Told, text: () => string): number {
  const { missing = [] } = answer;
  // Who reads it may have read enough.
  process.stdout.on('error', () => undefined);
  process.stdout.write(json ? `${JSON.stringify(answer, undefined, 2)}\n` : text());
  if (!json && missing.length > 0) note(command, `did not answer within a second: ${missing.join(', ')}`);
  return 0;
}

function dropsOf(drops: Readonly<Record<string, number>>): string {
  const some = Object.entries(drops).filter(([, count]) => count > 0);
  return some.length === 0 ? '-' : some.map(([reason, count]) => `${reason} ${count}`).join(' ');
}
