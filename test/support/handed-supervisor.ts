// A supervisor that hands connections over to its workers, as where the system cannot share a port. Its flags are those of `busgate serve`.
import { readFileSync } from 'node:fs';
import { StreamLog } from '../../packages/gateway/src/log.ts';
import { captureSettings } from '../../packages/gateway/src/supervisor/settings.ts';
import { Supervisor } from '../../packages/gateway/src/supervisor/supervisor.ts';

const { config, settings } = captureSettings({ argv: process.argv.slice(2), env: {}, descriptors: 5000, readFile: (path) => readFileSync(path, 'utf8') });
const log = new StreamLog({ level: 'info', stream: process.stderr, readable: false });
const supervisor: Supervisor = await Supervisor.start({ config, settings, log, sharing: 'handed', onDrain: () => void supervisor.drain({ notice: true }) });
log.info('started', { port: supervisor.door.listening.port, ops: supervisor.ops.port });
process.on('SIGTERM', () => void supervisor.drain({ notice: true }));
process.on('SIGHUP', () => void supervisor.reload(settings));
