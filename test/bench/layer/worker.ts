/** `worker.ts <busgate|bare> <url> <scenario> <its numbers>`: one process of a measurement. It says `ready`, waits for a line, works, and prints one line of JSON. */
import { work } from '../rig/work.ts';
import { bare } from './bare.ts';
import { busgate } from './busgate.ts';
import { play, type Subject } from './subject.ts';

const subjects: Readonly<Record<string, Subject>> = { busgate, bare };
const [name = '', url = '', scenario = '', ...numbers] = process.argv.slice(2);
const subject = subjects[name];
if (subject === undefined) throw new Error(`there are ${Object.keys(subjects).join(', ')}`);
await work(play(subject, scenario, url, numbers.map(Number)));
