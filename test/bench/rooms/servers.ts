import { join } from 'node:path';
import type { Child } from '../../support/child.ts';
import { freePort } from '../../support/ports.ts';
import { GatewayProcess } from '../../support/processes.ts';
import { startPinned } from '../rig/pinned.ts';
import type { Publishing, Wire } from './plan.ts';
import type { Load } from './scenarios.ts';

/** Where a server under test is put, and what will be asked of it. */
interface Place {
  readonly core: number;
  readonly redisPort: number;
  /** The compiled program of `native/`. */
  readonly program: string;
  readonly load: Load;
}

/** A server under test that runs and takes clients. */
interface Running {
  readonly child: Child;
  readonly port: number;
}

/** One of those compared. */
export interface Server {
  /** In tables. */
  readonly title: string;
  readonly wire: Wire;
  /** How messages get into its rooms; live where it does not say. */
  readonly publishing?: Publishing;
  /** Whether its messages come from Redis; the floor makes its own. */
  readonly viaRedis: boolean;
  start(place: Place): Promise<Running>;
}

const GATEWAY = join(import.meta.dirname, '../../../packages/gateway/src/cli.ts');

/** Whatever is off until it is set, set to what no client of a bench comes near. */
const LIMITS = {
  '--auth-jwt': JSON.stringify({ key: 'a secret of thirty-two bytes and more', algorithms: ['HS256'] }),
  '--trusted-proxies': '["10.0.0.0/8"]',
  '--rooms': '[{"rooms":"nowhere.>","join":"nobody"},{"rooms":">","slow":"close"}]',
  '--limits-address-sessions': '1000000',
  '--limits-address-handshakes': '1000000/s',
  '--limits-user-sessions': '1000000',
  '--rate-frames': '1000000/s',
  '--rate-bytes': '1GiB/s',
  '--rate-joins': '1000000/s',
  '--rate-publishes': '1000000/s',
};

/** All rooms have one. */
const HISTORY = { '--history': '[{"rooms":">","size":100,"age":"1m"}]' };

/** The gateway as its users start it, with every limit, bound and metric in force as by default, and with these settings. */
async function startBusgate({ core, redisPort }: Place, settings: Readonly<Record<string, string>> = {}): Promise<Running> {
  const [port, opsPort] = [await freePort(), await freePort()];
  const serve = ['serve', '--demo', '--layer', `redis://127.0.0.1:${redisPort}`, '--port', port, '--ops-port', opsPort, ...Object.entries(settings).flat()];
  const child = startPinned(core, process.execPath, ['--conditions=@busgate/source', GATEWAY, ...serve]);
  await new GatewayProcess(child, port, opsPort).answers('/readyz');
  return { child, port };
}

async function startScript(name: string, { core, redisPort }: Place): Promise<Running> {
  const port = await freePort();
  const child = startPinned(core, process.execPath, [join(import.meta.dirname, '../servers', name), port, redisPort]);
  await child.output.next();
  return { child, port };
}

async function startFloor({ core, program, load }: Place): Promise<Running> {
  const port = await freePort();
  const interval = load.messagesPerSecond === undefined ? 0 : Math.round(1e9 / load.messagesPerSecond);
  const child = startPinned(core, program, ['floor', '--port', port, '--rooms', load.rooms, '--sockets', load.sockets, '--interval-ns', interval]);
  await child.output.next();
  return { child, port };
}

/** Everything compared, by the name it has on the command line, in the order of the tables. */
export const servers: Readonly<Record<string, Server>> = {
  busgate: { title: 'Busgate', wire: 'frames', viaRedis: true, start: (place) => startBusgate(place) },
  'busgate-limits': { title: 'Busgate, limits set', wire: 'frames', viaRedis: true, start: (place) => startBusgate(place, LIMITS) },
  'busgate-socket': { title: 'Busgate, `/socket`', wire: 'multiplex', viaRedis: true, start: (place) => startBusgate(place) },
  'busgate-history': { title: 'Busgate, history', wire: 'frames', publishing: 'history', viaRedis: true, start: (place) => startBusgate(place, HISTORY) },
  naive: { title: 'naive `ws`', wire: 'frames', viaRedis: true, start: (place) => startScript('naive.ts', place) },
  socketio: { title: 'Socket.IO', wire: 'socketio', viaRedis: true, start: (place) => startScript('socketio.ts', place) },
  floor: { title: 'floor', wire: 'frames', viaRedis: false, start: startFloor },
};
