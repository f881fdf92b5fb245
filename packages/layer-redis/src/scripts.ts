import type { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Argument } from './connection.ts';
import { replyCode } from './errors.ts';

/** Whatever runs commands: a connection, or a shard. */
export interface Runner {
  run(name: string, ...args: Argument[]): Promise<unknown>;
}

/** A script of Redis, made of files of `scripts`, joined in that order. */
class Script {
  readonly body: string;
  readonly #sha: string;

  constructor(...files: string[]) {
    this.body = files.map(readScript).join('\n');
    this.#sha = createHash('sha1').update(this.body).digest('hex');
  }

  /** Runs it in one step; where the server has forgotten it, which did nothing, it is sent anew. */
  async run(runner: Runner, keys: string | readonly string[], ...args: Argument[]): Promise<unknown> {
    const named = typeof keys === 'string' ? [1, keys] : [keys.length, ...keys];
    try {
      return await runner.run('evalsha', this.#sha, ...named, ...args);
    } catch (error) {
      if (replyCode(error) !== 'NOSCRIPT') throw error;
      return runner.run('eval', this.body, ...named, ...args);
    }
  }

  /** Tells a server the script before its first use. */
  async load(runner: Runner): Promise<void> {
    await runner.run('script', 'LOAD', this.body);
  }
}

type Name =
  | 'push'
  | 'take'
  | 'giveBack'
  | 'addMember'
  | 'removeMember'
  | 'renewMember'
  | 'group'
  | 'publish'
  | 'read'
  | 'leaseGrant'
  | 'leaseRenew'
  | 'leaseHold'
  | 'leaseSettle'
  | 'leaseFind'
  | 'leaseSettleEnded'
  | 'leaseLook'
  | 'leases'
  | 'recordKeep'
  | 'recordAll'
  | 'channelsLapse'
  | 'channelsSend'
  | 'channelsGroupSend'
  | 'channelsMembers'
  | 'channelsJoin'
  | 'channelsAddMember'
  | 'channelsRenewMember'
  | 'channelsFlushGroup'
  | 'channelsBeat';

/** All scripts of the driver. */
export const SCRIPTS: Readonly<Record<Name, Script>> = {
  push: new Script('element.lua', 'queue.lua', 'push.lua'),
  take: new Script('element.lua', 'take.lua'),
  giveBack: new Script('element.lua', 'give-back.lua'),
  addMember: new Script('element.lua', 'add-member.lua'),
  removeMember: new Script('element.lua', 'remove-member.lua'),
  renewMember: new Script('element.lua', 'renew-member.lua'),
  group: new Script('element.lua', 'group.lua'),
  publish: new Script('server.lua', 'history.lua', 'publish.lua'),
  read: new Script('server.lua', 'history.lua', 'read.lua'),
  leaseGrant: new Script('element.lua', 'lease.lua', 'lease-grant.lua'),
  leaseRenew: new Script('element.lua', 'lease.lua', 'lease-renew.lua'),
  leaseHold: new Script('element.lua', 'lease.lua', 'lease-hold.lua'),
  leaseSettle: new Script('element.lua', 'queue.lua', 'lease.lua', 'lease-settle.lua'),
  leaseFind: new Script('element.lua', 'lease.lua', 'lease-find.lua'),
  leaseSettleEnded: new Script('element.lua', 'queue.lua', 'lease.lua', 'lease-settle-ended.lua'),
  leaseLook: new Script('element.lua', 'lease.lua', 'lease-look.lua'),
  leases: new Script('element.lua', 'leases.lua'),
  recordKeep: new Script('element.lua', 'record-keep.lua'),
  recordAll: new Script('element.lua', 'record-all.lua'),
  channelsLapse: new Script('channels-lapse.lua'),
  channelsSend: new Script('channels.lua', 'channels-send.lua'),
  channelsGroupSend: new Script('channels.lua', 'channels-group-send.lua'),
  channelsMembers: new Script('channels.lua', 'channels-members.lua'),
  channelsJoin: new Script('channels.lua', 'channels-join.lua'),
  channelsAddMember: new Script('channels.lua', 'channels-add-member.lua'),
  channelsRenewMember: new Script('channels.lua', 'channels-renew-member.lua'),
  channelsFlushGroup: new Script('channels.lua', 'channels-flush-group.lua'),
  channelsBeat: new Script('channels-beat.lua'),
};

/** The library that gives any Redis client `FCALL busgate_publish 1 {<prefix>:room:<room>}:history <payload>`. */
const LIBRARY = `#!lua name=busgate
${readScript('server.lua')}
redis.register_function('busgate_publish', function(KEYS, ARGV)
${readScript('history.lua')}
${readScript('publish.lua')}
end)
`;

/**
 * Loads every script, and the function where the server has functions (Redis 7) and these credentials may load one.
 * @returns why there is no function, in words
 */
export async function loadScripts(runner: Runner, withFunction: boolean): Promise<string | undefined> {
  await Promise.all(Object.values(SCRIPTS).map((script) => script.load(runner)));
  if (!withFunction) return undefined;
  try {
    const known = (await runner.run('function', 'LIST', 'LIBRARYNAME', 'busgate', 'WITHCODE')) as unknown;
    if (!includesText(known, LIBRARY)) await runner.run('function', 'LOAD', 'REPLACE', LIBRARY);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Loads the function again where somebody removed it (`FUNCTION FLUSH`). */
export async function restoreFunction(runner: Runner): Promise<void> {
  const known = (await runner.run('function', 'LIST', 'LIBRARYNAME', 'busgate')) as unknown[];
  if (known.length === 0) await runner.run('function', 'LOAD', 'REPLACE', LIBRARY);
}

function includesText(reply: unknown, text: string): boolean {
  if (Array.isArray(reply)) return reply.some((part) => includesText(part, text));
  return typeof reply === 'object' && reply !== null && (reply as Buffer).toString() === text;
}

function readScript(file: string): string {
  return readFileSync(new URL(`./scripts/${file}`, import.meta.url), 'utf8');
}
