#!/usr/bin/env node
// The command `busgate`. This file alone also runs on a Node older than the one Busgate needs, so it keeps to old syntax and imports nothing of Busgate's before the version is known.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED = 24;
const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'];
/** Set only from this file to itself, and removed before anything else reads the environment. */
const PARENT = '__BUSGATE_PARENT';

const built = new URL('../dist/cli.js', import.meta.url);
const source = new URL('../src/cli.ts', import.meta.url);
const fromSource = !existsSync(built) && existsSync(source);

if (process.env[PARENT] !== undefined) {
  delete process.env[PARENT];
  endWithParent();
  await run();
} else if (major() < NEEDED) {
  const node = workspaceNode();
  if (node === undefined) refuse();
  else runIn(node);
} else if (fromSource) {
  runIn(process.execPath);
} else {
  await run();
}

function run() {
  return import((fromSource ? source : built).href);
}

function major() {
  return Number(process.versions.node.split('.')[0]);
}

/** The Node of the package `node`, which a checkout has; undefined where there is none. */
function workspaceNode() {
  try {
    const file = join(dirname(createRequire(import.meta.url).resolve('node/package.json')), 'bin', 'node');
    return existsSync(file) ? file : undefined;
  } catch {
    return undefined;
  }
}

function refuse() {
  console.error(
    `busgate needs Node ${NEEDED} or newer; this is ${process.version} (${process.execPath}). Install Node ${NEEDED}, or npm install node@${NEEDED} beside it.`,
  );
  process.exitCode = 1;
}

/**
 * Runs this file in another Node, and is then that process to the outside: signals go there, its exit code or signal comes back.
 * It has a process group of its own, so that the Ctrl-C of a terminal reaches it once, from here; the channel ends it when this process is killed.
 */
function runIn(node) {
  const flags = fromSource ? ['--conditions=@busgate/source'] : [];
  const child = spawn(node, [...flags, fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, [PARENT]: String(process.pid) },
    detached: true,
  });
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`busgate could not start ${node}: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + constants.signals[signal]);
  });
}

/** A process whose starter was killed outright ends too, instead of holding its ports. */
function endWithParent() {
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.channel.unref();
}
