import type { Random } from '../../../layer/src/conformance/random.ts';
import { inspectConfig } from '../../src/config.ts';
import { ConfigError } from '../../src/config/faults.ts';
import { flagOf, KEYS, variableOf } from '../../src/config/keys.ts';
import { type SettingKey, schema, type Setting } from '../../src/config/schema.ts';
import { type FuzzedParser, must } from './parser.ts';

const FACTS = { demo: false, descriptors: 1024, directory: '', readFile: () => 'secret' };
const SETTINGS = schema(FACTS);
/** Whole files cost a hundred times what a value costs: one in so many inputs is one. */
const FILES = 64;

/** What an operator writes: the value of a setting, in a file, a variable and a flag. */
export const CONFIG: FuzzedParser = {
  name: 'config',
  examples: [
    'layer: redis://redis:6379\norigins: ["https://app.example"]\nroutes: [{path: "/room/:room", kind: room, join: anyone, publish: nobody}]\n',
    'drain: {notice: 5s, deadline: 30s}\nlimits: {message: 64KiB}\n',
    '[{path: "/app/*", kind: events, queue: app, http: true}, {path: {regex: "^/old/(?<room>[a-z]+)/$"}, kind: room, join: anyone, publish: anyone}]',
    '[{rooms: "chat.>", size: 1000, age: 5m}]',
    '["https://*.example.com", "capacitor://localhost", "null", "http://localhost:*"]',
    'rediss://user:p%40ss@host:6379/9?wire=channels-core',
    'redis+unix:///var/run/redis.sock',
    '250ms',
    '1.5GiB',
    '8080',
    'true',
    '*',
    'a: &a {b: 1}\nc: {<<: *a}\n',
  ],
  words: [
    'routes: ',
    'limits: ',
    'drain.notice: ',
    'path: ',
    '"/:a/:a"',
    'regex: ',
    '(?<room>',
    '(a+)+$',
    '[',
    ']',
    '{',
    '}',
    '&a ',
    '*a ',
    '<<: ',
    '!!js/function ',
    '- ',
    '\n',
    '\n  ',
    '5s',
    '64KiB',
    '1e400',
    '__proto__: ',
    '$ref',
  ],
  feed: feedSetting,
};

function feedSetting(input: string, random: Random): void {
  const key: SettingKey = random.pick(KEYS);
  feedValue(SETTINGS[key], input);
  if (random.below(FILES) !== 0) return;
  feedWhole(['--config', 'busgate.yaml'], {}, input);
  feedWhole([`${flagOf(key)}=${input}`], {}, '');
  feedWhole([], { [variableOf(key)]: input }, '');
  feedWhole(input.split(/\s/), {}, '');
}

/** Each way a value may come: as it was written, and as what YAML would make of it. */
function feedValue(setting: Setting<unknown>, input: string): void {
  for (const raw of [input, Number(input), [input], [{ path: input, kind: input }], { regex: input }, [{ rooms: input, size: input.length, age: input }]]) {
    let faults = 0;
    const value = setting.type.read(raw, () => void (faults += 1));
    must(value !== undefined || faults > 0, 'a value is read, or told to be wrong');
    if (faults === 0 && value !== undefined)
      must(setting.type.read(setting.type.write(value), () => undefined) !== undefined, 'what is written of it can be read');
  }
}

function feedWhole(argv: readonly string[], env: Readonly<Record<string, string>>, file: string): void {
  try {
    inspectConfig({ argv, env, descriptors: FACTS.descriptors, readFile: () => file });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    must(error.faults.length > 0 && error.faults.every((fault) => !/\p{Cc}/u.test(fault)), 'each fault is a line');
  }
}
