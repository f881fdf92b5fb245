import { DOCUMENTED, flagOf, KEYS, variableOf } from '../config/keys.ts';
import type { Setting } from '../config/schema.ts';
import { DEFAULT_OPS_URL } from './operate/asked.ts';
import { DEFAULT_URL } from './target.ts';

const WIDTH = 100;
const COLUMN = 34;

interface Flag {
  readonly name: string;
  readonly help: string;
}

const GENERAL: readonly Flag[] = [
  { name: '--help', help: 'Shows this.' },
  { name: '--version', help: 'Shows the version.' },
];

const TARGET: readonly Flag[] = [
  { name: '--url URL', help: `The gateway. (${DEFAULT_URL})` },
  { name: '--layer URL', help: 'Straight onto the broker instead, such as redis://localhost:6379.' },
  { name: '--prefix NAME', help: 'With --layer: the prefix that the gateways have. (busgate)' },
  { name: '--history YAML', help: 'With --layer: the history that the gateways have. (none)' },
];

const OPS: readonly Flag[] = [
  { name: '--ops-url URL', help: `The ops port. (${DEFAULT_OPS_URL})` },
  { name: '--json', help: 'JSON instead of a table.' },
];

const CONFIG_FILE: Flag = { name: '--config FILE', help: 'A YAML file of settings. Variables stand over it, flags over both. (BUSGATE_CONFIG)' };

/** Help of a command, or of all. */
export function helpOf(command: string | undefined): string {
  return (command === undefined ? undefined : HELP.get(command)) ?? SERVE;
}

const SERVE = `busgate: a horizontally scaled message bus gateway

Usage:
  busgate [serve] [flags]            terminates clients' sockets and maps rooms onto a layer
  busgate publish ROOM [TEXT|-]      publishes a text, or each line of the input
  busgate subscribe ROOM             shows each message of a room
  busgate work MODULE --queue QUEUE  runs the consumers of a module for an event route
  busgate forward QUEUE URL          posts each event of a worker queue to a backend
  busgate config [flags]             shows the settings in force, secrets masked
  busgate fleet, sessions, rooms     shows what the ops API tells of the whole fleet
  busgate tap ROOM                   shows live messages of a room
  busgate close SESSION              ends a session, wherever it is
  busgate doctor [flags]             says what to change on this machine and at the broker
  busgate drain                      has a gateway end as SIGTERM does
  busgate COMMAND --help

To try it: busgate --demo

Flags of serve and config. --drain-notice is the key drain.notice of the file and the variable BUSGATE_DRAIN_NOTICE.
${table([CONFIG_FILE, ...KEYS.map(settingFlag), ...GENERAL])}`;

const PUBLISH = `Usage: busgate publish ROOM [TEXT|-] [flags]

Publishes TEXT to a room. With - or without TEXT each line of the input is a message, byte for byte without its line end, and leaves as soon
as it is read. Ends with 0 when all were accepted, else with 1 and each reason once.

  tail -f app.log | busgate publish logs -

${table([...TARGET, ...GENERAL])}`;

const SUBSCRIBE = `Usage: busgate subscribe ROOM [flags]

Shows each message of a room, followed by a line feed, until Ctrl-C. Connects again when the gateway goes away, or is not there yet.

${table([...TARGET, ...GENERAL])}`;

const FORWARD = `Usage: busgate forward QUEUE URL [flags]

Posts each event of a worker queue to an http or https URL, and hands what is answered to the event's session: what a gateway does for a route with url,
as a program of its own. Until SIGINT or SIGTERM.

${table([
  { name: '--layer URL', help: 'The broker, such as redis://localhost:6379. (BUSGATE_LAYER)' },
  { name: '--prefix NAME', help: 'The prefix that the gateways have. (busgate)' },
  { name: '--secret-file FILE', help: 'A file that holds a secret to sign with, or two, one a line. (not signed)' },
  { name: '--concurrency N', help: 'Events that are under way at a time. (256)' },
  ...GENERAL,
])}`;

const WORK = `Usage: busgate work MODULE --queue QUEUE --layer URL [flags]

Runs the consumers that MODULE exports as its default (see @busgate/consumer) for the events of a queue, until SIGTERM or Ctrl-C: then what is in
hand is finished and every session goes to another worker. Its client's socket stays open.

  busgate work ./chat.ts --layer redis://localhost:6379 --queue app

${table([
  { name: '--queue QUEUE', help: "The queue of the gateways' event route." },
  { name: '--layer URL', help: 'The broker that the gateways have. (BUSGATE_LAYER)' },
  { name: '--prefix NAME', help: 'The prefix that the gateways have. (busgate)' },
  { name: '--concurrency N', help: 'Sockets that it has at once; others wait for other workers. (1000)' },
  ...GENERAL,
])}`;

const CONFIG = `Usage: busgate config [flags]

Shows the settings in force as a YAML file that would say them, with secrets masked. Takes the flags of serve: see busgate --help.
`;

const OPERATE = `The key of the ops port is in BUSGATE_OPS_KEY, or in the file that BUSGATE_OPS_KEY_FILE names. On a terminal in colours, without them where NO_COLOR is set.

${table([...OPS, ...GENERAL])}`;

const FLEET = `Usage: busgate fleet [flags]

Shows every gateway of the fleet: version, uptime, sessions, whether it drains, its layer, and what its last heartbeat took through the broker.

${OPERATE}`;

const SESSIONS = `Usage: busgate sessions [flags]

Shows the sessions of the fleet, or those of a user, of clients at an address, or in a room.

${table([
  { name: '--user USER', help: 'Only those of this user.' },
  { name: '--address ADDRESS', help: 'Only those of clients at this address.' },
  { name: '--room ROOM', help: 'Only those that are in this room.' },
])}
${OPERATE}`;

const ROOMS = `Usage: busgate rooms [PATTERN] [flags]

Shows the rooms of the fleet that have members, the largest first. In PATTERN * stands for one level, and a final > for all that follow: 'chat.>'.

${OPERATE}`;

const TAP = `Usage: busgate tap ROOM [flags]

Shows live messages of a room until Ctrl-C. What is more than the rate is counted and not shown; nobody else is held up.

${table([{ name: '--rate N', help: 'Messages a second at most, 1 to 1000. (50)' }])}
${OPERATE}`;

const CLOSE = `Usage: busgate close SESSION [flags]

Ends a session, at whatever gateway it is.

${table([{ name: '--code CODE', help: 'What its client is told: 1000 to 1014, or 3000 to 4999. (1012)' }])}
${OPERATE}`;

const DRAIN = `Usage: busgate drain [flags]

Has the gateway that is asked drain and end, as SIGTERM does.

${OPERATE}`;

const DOCTOR = `Usage: busgate doctor [flags]

Looks at this machine, the settings and the broker, and says in a line each what is ok, what to fix and what to type, and what is unknown. Takes the flags of serve,
and tries at the broker what a gateway does there. Ends with 0 where there is nothing to fix, with 1 where there is, with 2 for a mistake in what was written.

${table([{ name: '--grace DURATION', help: 'What the orchestrator gives a process to end, such as 60s, which only it knows.' }, ...GENERAL])}`;

const HELP: ReadonlyMap<string, string> = new Map([
  ['publish', PUBLISH],
  ['subscribe', SUBSCRIBE],
  ['forward', FORWARD],
  ['work', WORK],
  ['config', CONFIG],
  ['fleet', FLEET],
  ['sessions', SESSIONS],
  ['rooms', ROOMS],
  ['tap', TAP],
  ['close', CLOSE],
  ['drain', DRAIN],
  ['doctor', DOCTOR],
]);

function settingFlag(key: (typeof KEYS)[number]): Flag {
  const setting: Setting<unknown> = DOCUMENTED[key];
  const { placeholder } = setting.type;
  const preset = setting.presetText?.replaceAll('`', '') ?? (setting.preset === false ? 'off' : String(setting.preset));
  const variable = setting.secret === true ? ` Secret: ${variableOf(key)}_FILE names a file that holds it.` : '';
  return { name: `${flagOf(key)}${placeholder === undefined ? '' : ` ${placeholder}`}`, help: `${setting.help}${variable} (${preset})` };
}

function table(flags: readonly Flag[]): string {
  return flags.map(({ name, help }) => `${row(name, help)}\n`).join('');
}

/** The help beside the name, or below it where the name is long; wrapped between words. */
function row(name: string, help: string): string {
  const indent = ' '.repeat(COLUMN);
  const first = name.length > COLUMN - 4 ? `  ${name}\n${indent}` : `  ${name}`.padEnd(COLUMN);
  const lines: string[] = [''];
  for (const word of help.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && COLUMN + line.length + word.length >= WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return first + lines.join(`\n${indent}`);
}
