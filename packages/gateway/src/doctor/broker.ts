import { randomBytes } from 'node:crypto';
import { type ChannelLayer, isLayerError } from '@busgate/layer';
import type { Config } from '../config.ts';
import type { HistorySetting } from '../config/history.ts';
import { maskUrl } from '../config/layer-url.ts';
import { openLayerOf } from '../open-layer.ts';
import { type Finding, fix, ok, unknown } from './finding.ts';

const ANSWER_MS = 5000;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const QUEUE_EXPIRY_MS = 10_000;

/** One thing that a gateway does at the broker, tried with a name of its own. */
interface Trial {
  readonly right: string;
  readonly attempt: (layer: ChannelLayer) => Promise<unknown>;
}

/** The broker: whether it can be reached, what it should be told, and whether each thing that a gateway does there is allowed, by doing it. */
export async function brokerFindings(config: Config): Promise<Finding[]> {
  const where = `layer ${maskUrl(config.layer)}`;
  if (config.layer.startsWith('memory:')) return [ok(`${where}: within this process, nothing to look at`)];
  try {
    await using layer = await openLayerOf(config, SILENT);
    if (layer.status.state !== 'connected') return [fix(`${where}: ${layer.status.reason ?? 'away'}`, 'start the broker, or say where it is: --layer URL')];
    return [ok(`${where}: connected`), ...(await layer.examine()), ...(await rights(layer, config))];
  } catch (error) {
    return [fix(`${where}: ${reasonOf(error)}`, adviceOn(error))];
  }
}

function adviceOn(error: unknown): string {
  return isLayerError(error, 'REFUSED') ? 'give this user the rights that docs/layer-redis.md and docs/layer-nats.md name' : 'say another URL: --layer URL';
}

/** In the order in which they are tried. */
async function rights(layer: ChannelLayer, config: Config): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { right, attempt } of trialsOf(config, layer)) findings.push(await tried(right, attempt(layer)));
  return findings;
}

async function tried(right: string, attempt: Promise<unknown>): Promise<Finding> {
  const what = `right to ${right}`;
  try {
    await within(attempt);
    return ok(what);
  } catch (error) {
    if (isLayerError(error, 'UNSUPPORTED')) return unknown(what, error.message);
    return isLayerError(error, 'REFUSED') ? fix(what, error.message) : fix(`${what}: ${reasonOf(error)}`, 'look at the log of the broker');
  }
}

function trialsOf({ history, routes }: Config, { capabilities }: ChannelLayer): Trial[] {
  const name = `_doctor.${randomBytes(6).toString('hex')}`;
  const kept = roomWithHistory(history, name.replace('_doctor.', 'doctor-'));
  return [
    { right: 'subscribe and publish rooms', attempt: (layer) => roundTrip(layer, name) },
    ...(kept === undefined ? [] : [{ right: 'keep histories', attempt: (layer: ChannelLayer) => keep(layer, kept) }]),
    ...(routes.some(({ kind }) => kind === 'events') && capabilities.queues
      ? [{ right: 'read and write worker queues', attempt: (layer: ChannelLayer) => queue(layer, name) }]
      : []),
    ...(routes.some(({ kind }) => kind === 'events') && capabilities.leases === true ? [{ right: 'hold leases', attempt: hold }] : []),
  ];
}

async function roundTrip(layer: ChannelLayer, room: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const subscription = await layer.subscribe(room, () => resolve());
  await layer.publish(room, 'busgate doctor');
  await promise;
  await subscription.close();
}

async function keep(layer: ChannelLayer, room: string): Promise<void> {
  await layer.publish(room, 'busgate doctor');
  await layer.history(room, undefined, { last: 1 });
  await layer.purge(room);
}

async function queue(layer: ChannelLayer, name: string): Promise<void> {
  await layer.send(name, { type: 'doctor' }, capabilitiesOf(layer));
  await layer.receive(name);
}

function capabilitiesOf({ capabilities }: ChannelLayer): { expiryMs: number } | undefined {
  return capabilities.sendOptions === true ? { expiryMs: QUEUE_EXPIRY_MS } : undefined;
}

async function hold(layer: ChannelLayer): Promise<void> {
  const lease = await layer.lease();
  await lease.close();
}

/** A room of nobody that a rule covers; undefined where each rule names its rooms whole. */
function roomWithHistory(rules: readonly HistorySetting[], name: string): string | undefined {
  const rule = rules.find(({ rooms }) => /[*>]/.test(rooms));
  return rule?.rooms.replaceAll(/[*>]/g, name);
}

async function within(work: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`nothing came back within ${ANSWER_MS / 1000} s`)), ANSWER_MS);
  try {
    await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function reasonOf(error: unknown): string {
  return isLayerError(error) ? `${error.code}: ${error.message}` : (error as Error).message;
}
