import type { Credit, HistoryOptions, LayerLogger, LayerOptions, LeaseOptions, ResolvedOptions, SendOptions } from './contract.ts';
import { LayerError } from './errors.ts';
import { faultOfRule } from './history-rules.ts';
import { checkId } from './ids.ts';
import { checkPrefix } from './names.ts';

const SILENT: LayerLogger = { info() {}, warn() {}, error() {} };

const DEFAULTS: ResolvedOptions = {
  prefix: 'busgate',
  capacity: 100,
  expiryMs: 60_000,
  groupExpiryMs: 86_400_000,
  history: [],
  maxMessageBytes: 1_048_576,
  traces: false,
  logger: SILENT,
};

/** Every number of milliseconds fits a 32-bit timer and a Redis time to live. */
const MAX_MS = 2_147_483_647;
const MAX_CAPACITY = 1_000_000;

/**
 * Fills in defaults.
 * @throws LayerError INVALID_OPTION, INVALID_NAME (prefix)
 */
export function resolveOptions(options: LayerOptions): ResolvedOptions {
  if (typeof options !== 'object' || options === null) throw new LayerError('INVALID_OPTION', `options must be an object, not ${String(options)}`);
  for (const [key, value] of Object.entries(options)) {
    if (!Object.hasOwn(DEFAULTS, key)) {
      throw new LayerError('INVALID_OPTION', `option ${key} is unknown; there are ${Object.keys(DEFAULTS).join(', ')}`);
    }
    if (value === undefined) throw new LayerError('INVALID_OPTION', `option ${key} is undefined; leave it out for its default`);
  }
  const resolved: ResolvedOptions = { ...DEFAULTS, ...options };
  checkPrefix(resolved.prefix);
  checkWhole('capacity', resolved.capacity, MAX_CAPACITY, 'messages');
  checkWhole('expiryMs', resolved.expiryMs, MAX_MS, 'milliseconds');
  checkWhole('groupExpiryMs', resolved.groupExpiryMs, MAX_MS, 'milliseconds');
  checkWhole('maxMessageBytes', resolved.maxMessageBytes, 512 * 1_048_576, 'bytes');
  checkLogger(resolved.logger);
  if (typeof resolved.traces !== 'boolean') throw new LayerError('INVALID_OPTION', `option traces must be true or false, not ${String(resolved.traces)}`);
  if (!Array.isArray(resolved.history)) throw new LayerError('INVALID_OPTION', 'history must be a list of {rooms, size, ageMs}');
  for (const rule of resolved.history) {
    const fault = faultOfRule(rule);
    if (fault !== undefined) throw new LayerError('INVALID_OPTION', `history: ${fault}`);
  }
  return resolved;
}

/** The longest that any layer keeps a message of its own time. */
export const LONGEST_EXPIRY_MS = 86_400_000;

/**
 * Refuses options of `send` that are out of range.
 * @throws LayerError INVALID_OPTION
 */
export function checkSendOptions({ expiryMs, id, capacity }: SendOptions, layer: ResolvedOptions): void {
  if (expiryMs !== undefined) checkWhole('expiryMs', expiryMs, Math.max(LONGEST_EXPIRY_MS, layer.expiryMs), 'milliseconds');
  if (capacity !== undefined) checkWhole('capacity', capacity, MAX_CAPACITY, 'messages');
  checkId(id);
}

const CREDIT: Required<Credit> = { bytes: 1_048_576, messages: 64 };

/**
 * Fills in defaults.
 * @throws LayerError INVALID_OPTION
 */
export function resolveCredit(credit: Credit): Required<Credit> {
  const resolved = { ...CREDIT, ...credit };
  checkWhole('bytes', resolved.bytes, Number.MAX_SAFE_INTEGER, 'bytes');
  checkWhole('messages', resolved.messages, 1_000_000, 'messages');
  return resolved;
}

/**
 * The time of a lease.
 * @throws LayerError INVALID_OPTION
 */
export function resolveTtl({ ttlMs = 10_000 }: LeaseOptions): number {
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1000 || ttlMs > 3_600_000) {
    throw new LayerError('INVALID_OPTION', `option ttlMs must be a whole number of milliseconds from 1000 to 3600000, not ${String(ttlMs)}`);
  }
  return ttlMs;
}

const HISTORY: Required<HistoryOptions> = { limit: 1000, bytes: 1_048_576, last: 0 };

/**
 * Fills in defaults.
 * @throws LayerError INVALID_OPTION
 */
export function resolveHistoryOptions(options: HistoryOptions): Required<HistoryOptions> {
  const resolved = { ...HISTORY, ...options };
  checkWhole('limit', resolved.limit, 1000, 'messages');
  checkWhole('bytes', resolved.bytes, Number.MAX_SAFE_INTEGER, 'bytes');
  if (resolved.last !== 0) checkWhole('last', resolved.last, 1000, 'messages');
  return resolved;
}

/** A logger without one of them would fail when the broker does. */
function checkLogger(logger: Partial<LayerLogger> | null): void {
  for (const level of ['info', 'warn', 'error'] as const) {
    if (typeof logger?.[level] !== 'function')
      throw new LayerError('INVALID_OPTION', `option logger must have the methods info, warn and error; it has no ${level}`);
  }
}

function checkWhole(key: string, value: number, most: number, unit: string): void {
  if (!Number.isSafeInteger(value) || value < 1 || value > most) {
    throw new LayerError('INVALID_OPTION', `option ${key} must be a whole number of ${unit} from 1 to ${most}, not ${String(value)}`);
  }
}
