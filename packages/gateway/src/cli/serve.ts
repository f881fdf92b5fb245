import { isatty } from 'node:tty';
import type { Config } from '../config.ts';
import { maskUrl } from '../config/layer-url.ts';
import { Gateway } from '../gateway.ts';
import type { Listening } from '../listen.ts';
import { StreamLog } from '../log.ts';
import { openOutput } from '../stdio.ts';
import { readVersion } from '../version.ts';

/** What a forgotten handle may still hold up after everything is closed. */
const EXIT_MS = 500;

/**
 * `busgate serve`: until a signal, then drained.
 * @returns 0, or 1 where an error that nobody expected made it stop
 */
export async function serve(config: Config): Promise<number> {
  const log = new StreamLog({ level: config.log.level, stream: openOutput(2), readable: isatty(2) });
  try {
    const stop = untilStopped(log);
    const gateway = await Gateway.start({ config, log, version: readVersion() });
    tellStart(config, gateway, log);
    const { notice, code } = await stop;
    log.info('draining', { sessions: gateway.sessions, deadline_ms: config.drain.deadline });
    await gateway.drain({ notice });
    log.info('drained');
    setTimeout(() => process.exit(code), EXIT_MS).unref();
    return code;
  } finally {
    await log.close();
  }
}

interface Stop {
  /** Whether load balancers are given time to notice. */
  readonly notice: boolean;
  readonly code: number;
}

/**
 * SIGTERM drains, SIGINT drains without notice, a second signal ends at once. An error that nobody expected drains too: what it left behind is not known; the signal
 * by which an orchestrator joins in is the first one then.
 */
function untilStopped(log: StreamLog): Promise<Stop> {
  return new Promise((resolve) => {
    let isSignalled = false;
    const onSignal = (signal: NodeJS.Signals) => {
      if (isSignalled) process.exit(1);
      isSignalled = true;
      resolve({ notice: signal === 'SIGTERM', code: 0 });
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    process.on('uncaughtException', (error) => {
      log.error('unexpected error: the gateway stops', { error: error.message, stack: error.stack });
      resolve({ notice: true, code: 1 });
    });
  });
}

/** A gateway listens before its broker is there; clients are served from then on. */
function tellStart(config: Config, gateway: Gateway, log: StreamLog): void {
  const start = {
    url: urlOf(config.host, gateway.listening),
    ops: urlOf(config.ops.host, gateway.ops),
    layer: maskUrl(config.layer),
    ...(config.layer.startsWith('memory:') ? { note: 'this process is a bus of its own: what is published here reaches no other process' } : {}),
  };
  if (!gateway.isReached) log.info('listening; not ready before the layer is reached', start);
  void gateway.reached.then(() => log.info('ready for clients', start));
}

function urlOf(host: string, { port, addresses }: Listening): string {
  return host === 'localhost' ? `http://localhost:${port}/` : addresses.map((address) => `http://${address}/`).join(' ');
}
