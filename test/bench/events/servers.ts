import { join } from 'node:path';
import type { PythonEnvironment } from '../../outside/support/python.ts';
import type { Child } from '../../support/child.ts';
import { freePort } from '../../support/ports.ts';
import { GatewayProcess } from '../../support/processes.ts';
import { startCentrifugo } from '../rig/centrifugo.ts';
import { startPinned } from '../rig/pinned.ts';
import type { wires } from './wires.ts';

/** Where a server under test is put. */
interface Place {
  readonly core: number;
  readonly redisUrl: string;
  readonly python: PythonEnvironment | undefined;
}

/** A server under test that takes clients. */
export interface Running {
  readonly port: number;
  /** What holds the clients' sockets. */
  readonly front: Child;
  /** What has the application, where that is another process. */
  readonly worker?: Child;
}

/** One of those compared. */
export interface Server {
  /** In tables. */
  readonly title: string;
  readonly isPython?: true;
  /** Whether it echoes, and has nobody speak to all. */
  readonly echoes?: true;
  /** What its clients speak, where that is not plain text. */
  readonly wire?: keyof typeof wires;
  start(place: Place): Promise<Running>;
}

const HERE = import.meta.dirname;
const CLI = join(HERE, '../../../packages/gateway/src/cli.ts');
const SOURCES = '--conditions=@busgate/source';
const APPLICATION = join(HERE, 'modules/echo.ts');
const QUEUE = 'bench';
const SECRET = `whsec_${Buffer.alloc(32, 'bench').toString('base64')}`;

/** The gateway as its users start it, with every limit, bound and metric in force as by default. */
async function startGateway({ core, redisUrl }: Place, route: string): Promise<Running> {
  const [port, opsPort] = [await freePort(), await freePort()];
  const serve = ['serve', '--layer', redisUrl, '--routes', `[{path: '/:page', ${route}}]`, '--port', port, '--ops-port', opsPort];
  const front = startPinned(core, process.execPath, [SOURCES, CLI, ...serve]);
  await new GatewayProcess(front, port, opsPort).answers('/readyz');
  return { port, front };
}

async function withWorker(place: Place, worker: Child, isReady: (line: string) => boolean): Promise<Running> {
  await worker.lines.find(isReady, 'a worker that reads');
  return { ...(await startGateway(place, `kind: events, queue: ${QUEUE}`)), worker };
}

export function startWork(place: Place): Promise<Running> {
  const worker = startPinned(place.core, process.execPath, [SOURCES, CLI, 'work', APPLICATION, '--layer', place.redisUrl, '--queue', QUEUE]);
  return withWorker(place, worker, (line) => line.includes('working'));
}

function startAsgi(place: Place): Promise<Running> {
  const args = ['bench_site:application', '--app-dir', HERE, '--layer', place.redisUrl, '--queue', QUEUE];
  return withWorker(place, inPython(place, 'busgate-asgi', args, { BENCH_ROOMS: '1' }), (line) => line.includes('Reading queue'));
}

async function startPythonServer(
  place: Place,
  command: string,
  args: (port: number) => readonly (string | number)[],
  isReady: (line: string) => boolean,
): Promise<Running> {
  const port = await freePort();
  const front = inPython(place, command, args(port));
  await front.lines.find(isReady, 'a server that listens');
  return { port, front };
}

function inPython({ core, redisUrl, python }: Place, command: string, args: readonly (string | number)[], env: Readonly<Record<string, string>> = {}): Child {
  return startPinned(core, python?.command(command) ?? command, args, { cwd: HERE, env: { BENCH_REDIS: redisUrl, ...env } });
}

async function startBare({ core }: Place): Promise<Running> {
  const port = await freePort();
  const front = startPinned(core, process.execPath, [join(HERE, '../servers/echo.ts'), port]);
  await front.output.next();
  return { port, front };
}

async function startBackend({ core }: Place): Promise<{ worker: Child; url: string }> {
  const port = await freePort();
  const worker = startPinned(core, process.execPath, [join(HERE, '../servers/backend.ts'), port]);
  await worker.output.next();
  return { worker, url: `http://127.0.0.1:${port}/` };
}

async function startForwarding(place: Place): Promise<Running> {
  const { worker, url } = await startBackend(place);
  return { ...(await startGateway(place, `kind: events, url: '${url}', secret: ${SECRET}`)), worker };
}

async function startProxying(place: Place): Promise<Running> {
  const { worker, url } = await startBackend(place);
  const rpc = { proxy: { endpoint: url, timeout: '30s' }, without_namespace: { proxy_enabled: true } };
  const { child, port } = await startCentrifugo(place.core, { rpc });
  return { port, worker, front: child };
}

/** Everything compared, by the name it has on the command line, in the order of the tables. */
export const servers: Readonly<Record<string, Server>> = {
  worker: { title: 'gateway, `busgate work`', start: startWork },
  consumer: { title: 'gateway, consumer in it', start: (place) => startGateway(place, `kind: consumer, module: '${APPLICATION}'`) },
  ws: { title: 'bare `ws`', start: startBare },
  url: { title: 'gateway, `url:`, each event signed', echoes: true, start: startForwarding },
  centrifugo: { title: 'Centrifugo, proxy by HTTP', echoes: true, wire: 'centrifugo', start: startProxying },
  asgi: { title: 'gateway, `busgate-asgi`', isPython: true, start: startAsgi },
  daphne: {
    title: 'Daphne',
    isPython: true,
    start: (place) =>
      startPythonServer(
        place,
        'daphne',
        (port) => ['--bind', '127.0.0.1', '--port', port, 'bench_site:application'],
        (line) => line.includes('Listening on TCP'),
      ),
  },
  uvicorn: {
    title: 'uvicorn',
    isPython: true,
    start: (place) =>
      startPythonServer(
        place,
        'uvicorn',
        (port) => ['--port', port, '--no-access-log', 'bench_site:application'],
        (line) => line.includes('Uvicorn running'),
      ),
  },
};
