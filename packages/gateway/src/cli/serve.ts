import { takeStray } from '@busgate/consumer/run';
import { warnOfLooseRules } from '../auth/start-warnings.ts';
import type { Config, ConfigInput } from '../config.ts';
import { ConfigError } from '../config/faults.ts';
import { maskUrl } from '../config/layer-url.ts';
import type { Listening } from '../listen.ts';
import { StreamLog } from '../log.ts';
import { isReadable, openOutput } from '../stdio.ts';
import { Service } from '../supervisor/service.ts';
import { captureSettings } from '../supervisor/settings.ts';

const REFUSED = 'the settings are refused: nothing has changed';
/** What a forgotten handle may still hold up after everything is closed. */
const EXIT_MS = 500;

/**
 * `busgate serve`: until a signal, then drained. SIGHUP reads the settings again.
 * @param input what the settings are read from, anew each time
 * @returns 0, or 1 where an error that nobody expected, or workers that die too often, made it stop
 */
export async function serve(input: () => ConfigInput): Promise<number> {
  const { config, settings } = captureSettings(input());
  const log = new StreamLog({ level: config.log.level, stream: openOutput(2), readable: isReadable(config.log.format) });
  try {
    warnOfLooseRules(config, log);
    const stop = untilStopped(log);
    // From the beginning, since it would end a process that does not listen for it.
    const starting = Service.start(config, settings, log);
    process.on('SIGHUP', () => void starting.then((service) => reload(service, input, log)).catch(() => undefined));
    const service = await starting;
    process.on('exit', () => service.kill());
    void tellStart(config, service, log);
    const asked = service.drainAsked.then(() => ({ notice: true, code: 0 }));
    const { notice, code } = await Promise.race([stop, asked, service.failed.then(() => ({ notice: true, code: 1 }))]);
    log.info('draining', { deadline_ms: config.drain.deadline });
    await service.drain({ notice });
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
 * by which an orchestrator joins in is the first one then. What a consumer's handler leaves behind ends its own session alone.
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
      if (takeStray(error)) return;
      log.error('unexpected error: the gateway stops', { error: error.message, stack: error.stack });
      resolve({ notice: true, code: 1 });
    });
  });
}

/** Settings that are wrong change nothing. */
async function reload(service: Service, input: () => ConfigInput, log: StreamLog): Promise<void> {
  try {
    log.info('reading the settings again');
    const { config, settings } = captureSettings(input());
    const refused = await service.reload(config, settings);
    if (refused !== undefined) log.error(REFUSED, { reason: refused });
    else warnOfLooseRules(config, log);
  } catch (error) {
    log.error(REFUSED, { reason: error instanceof ConfigError ? error.faults.join('; ') : String(error) });
  }
}

/** It listens before its broker is there; clients are served from then on. */
async function tellStart(config: Config, service: Service, log: StreamLog): Promise<void> {
  const start = {
    url: urlOf(config.host, service.listening),
    ops: urlOf(config.ops.host, service.ops),
    layer: maskUrl(config.layer),
    ...(config.workers > 1 ? { workers: config.workers } : {}),
    ...(config.layer.startsWith('memory:') ? { note: 'this process is a bus of its own: what is published here reaches no other process' } : {}),
  };
  const { ready } = await service.readiness();
  if (!ready) log.info('listening; not ready before the layer is reached', start);
  void service.reached().then(() => log.info('ready for clients', start));
}

function urlOf(host: string, { port, addresses }: Pick<Listening, 'port' | 'addresses'>): string {
  return host === 'localhost' ? `http://localhost:${port}/` : addresses.map((address) => `http://${address}/`).join(' ');
}
