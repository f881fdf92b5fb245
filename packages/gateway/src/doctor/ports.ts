import { createServer } from 'node:net';
import type { Config } from '../config.ts';
import { listen } from '../listen.ts';
import { type Finding, fix, ok, unknown } from './finding.ts';

const ANSWER_MS = 2000;

/** Whether the ports can be had, or are this gateway's already. */
export async function portFindings({ host, port, ops }: Pick<Config, 'host' | 'port' | 'ops'>): Promise<Finding[]> {
  const isServing = await isGateway(ops.host, ops.port);
  return await Promise.all([portFinding('port', '--port', host, port, isServing), portFinding('ops.port', '--ops-port', ops.host, ops.port, isServing)]);
}

async function portFinding(name: string, flag: string, host: string, port: number, isServing: boolean): Promise<Finding> {
  const what = `${name} ${port} on ${host}`;
  const server = createServer();
  try {
    const listening = await listen(server, host, port);
    listening.close();
    return ok(`${what}: free`);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE')
      return isServing
        ? ok(`${what}: a gateway serves there`)
        : fix(`${what}: somebody else has it`, `${flag} ${port + 1}, or end who has it: ss -ltnp 'sport = :${port}'`);
    if (code === 'EACCES') return fix(`${what}: only root may have it`, `${flag} 8080, or setcap cap_net_bind_service=+ep $(which node)`);
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return fix(`${what}: this machine has no such address`, `--${name === 'port' ? '' : 'ops-'}host '*'`);
    return unknown(what, message);
  }
}

/** Whether what answers at the ops port is a gateway. */
async function isGateway(host: string, port: number): Promise<boolean> {
  const address = host === '*' || host === 'localhost' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  try {
    const response = await fetch(`http://${address}:${port}/healthz`, { signal: AbortSignal.timeout(ANSWER_MS) });
    return ((await response.json()) as { status?: unknown }).status === 'alive';
  } catch {
    return false;
  }
}
