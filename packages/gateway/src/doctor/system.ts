import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import type { Config } from '../config.ts';
import { type Finding, fix, ok, unknown } from './finding.ts';

/** What a gateway keeps open beside sessions, and a fleet of any size needs at least. */
const LEAST_DESCRIPTORS = 10_000;
/** Node asks for so long a queue of connections that wait to be accepted. */
const BACKLOG = 511;
/** A reader that does not read may hold so much in the kernel; Linux's own default. */
const COMMON_WMEM = 4 * 1024 * 1024;

/** What is read of this machine. */
export interface Machine {
  readonly descriptors: number;
  /** The content of a file of the system. Throws where it cannot be read. */
  readonly read: (path: string) => string;
}

export const THIS_MACHINE: Omit<Machine, 'descriptors'> = { read: (path) => readFileSync(path, 'utf8') };

/** Limits of the system that clients would meet. */
export function systemFindings({ limits }: Pick<Config, 'limits'>, machine: Machine): Finding[] {
  return [
    descriptors(limits.sessions, machine.descriptors),
    attempt('net.core.somaxconn', () => somaxconn(Number(machine.read('/proc/sys/net/core/somaxconn')))),
    attempt('net.ipv4.tcp_wmem', () => tcpWmem(machine.read('/proc/sys/net/ipv4/tcp_wmem'), limits.outboxTotal)),
  ];
}

function attempt(what: string, look: () => Finding): Finding {
  try {
    return look();
  } catch (error) {
    return unknown(what, (error as Error).message);
  }
}

function descriptors(sessions: number, limit: number): Finding {
  const what = `descriptors: ${limit}, limits.sessions ${sessions}`;
  const wanted = Math.max(LEAST_DESCRIPTORS, sessions + 128);
  if (limit < LEAST_DESCRIPTORS)
    return fix(`${what}: few clients fit`, `ulimit -n ${Math.max(wanted, 100_000)} (systemd: LimitNOFILE=${Math.max(wanted, 100_000)})`);
  return sessions < limit ? ok(what) : fix(`${what}: sessions would run out of descriptors`, `ulimit -n ${wanted}, or --limits-sessions ${limit - 128}`);
}

function somaxconn(length: number): Finding {
  const what = `net.core.somaxconn is ${length}`;
  return length >= BACKLOG ? ok(what) : fix(`${what}: a burst of connects is dropped`, 'sysctl -w net.core.somaxconn=4096');
}

/** It is memory beside `limits.outbox`, and in a container counts towards its limit. */
function tcpWmem(text: string, outboxTotal: number): Finding {
  const most = Number(text.trim().split(/\s+/).at(-1));
  if (!Number.isSafeInteger(most)) return unknown('net.ipv4.tcp_wmem', 'it is not three numbers');
  const what = `net.ipv4.tcp_wmem: the kernel holds up to ${Math.round(most / 1024)} KiB for a reader that does not read, beside limits.outbox`;
  if (most <= COMMON_WMEM) return ok(what);
  const share = Math.round((100 * (most * 100 + outboxTotal)) / totalmem());
  return fix(`${what}: a hundred of them may take ${share} % of the memory`, "sysctl -w net.ipv4.tcp_wmem='4096 16384 4194304'");
}
