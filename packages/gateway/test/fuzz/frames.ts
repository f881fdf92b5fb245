import { isDeepStrictEqual } from 'node:util';
import { isName } from '@busgate/layer';
import { ERRORS } from '../../src/errors.ts';
import { isJson } from '../../src/content/json.ts';
import { parseFrame } from '../../src/routes/multiplex/parse.ts';
import { framesOf } from '../../src/routes/multiplex/uplink.ts';
import { type FuzzedParser, must } from './parser.ts';

const MAX_PAYLOAD = 1024;
const MAX_DEPTH = 32;

/** What a client of `/socket` sends: a frame on a socket, one or a list of them in a request. */
export const FRAMES: FuzzedParser = {
  name: 'frames',
  examples: [
    '{"type":"ping"}',
    '{"type":"join","room":"a.b:c@d-e_f","since":"e:12","last":3,"ref":1}',
    '{"type":"leave","room":"__proto__","ref":"x"}',
    '{"type":"publish","room":"r","data":{"a":[1,2.50,-0,1e400,"\\ud800"]},"id":"i","ref":-1.5}',
    '{"type":"publish","room":"r","text":"héllo \\"world\\""}',
    '{"type":"publish","room":"r","base64":"AP8="}',
    '[{"type":"ping"},{"type":"join","room":"a"} , {"type":"publish","room":"r","data":[{}]}]',
    '{"type":"publish","data":1,"data":{"data":2},"room":"r"}',
    '{"__proto__":{"admin":true},"type":"ping"}',
  ],
  words: [
    '"',
    '\\"',
    '\\\\',
    '\\u0041',
    '\\ud800',
    '\\udc00',
    '[',
    ']',
    '{',
    '}',
    '{"a":',
    '[[',
    ':',
    ',',
    'null',
    'true',
    '1e9',
    '-',
    '"type":"join",',
    '"data":',
    '"room":"*"',
    '"ref":7,',
    ' ',
  ],
  feed: feedFrame,
};

function feedFrame(input: string): void {
  const bytes = Buffer.from(input);
  const text = bytes.toString();
  const value = parse(text);
  const isShallow = depthOf(text) <= MAX_DEPTH;
  must(isJson(bytes, MAX_DEPTH) === (value !== undefined && isShallow), 'what is JSON is known');
  feedOne(text, value);
  const frames = framesOf(bytes);
  if (frames === undefined) return must(!isObject(value?.parsed), 'an object or a list is frames');
  must(!Array.isArray(value?.parsed) || value.parsed.length === frames.length, 'each element is a frame');
  for (const frame of frames) feedOne(frame.toString(), parse(frame.toString()));
}

function feedOne(text: string, value: Parsed | undefined): void {
  const frame = parseFrame(text, MAX_PAYLOAD);
  if (frame.type === 'fault') {
    must('frame' in ERRORS[frame.code], 'it is answered by an error frame');
    return must(frame.code !== 'bad_json' || value === undefined || depthOf(text) > MAX_DEPTH + 1, 'JSON is not called none');
  }
  must(value !== undefined && isObject(value.parsed), 'a frame is an object');
  if (frame.type === 'ping' || frame.type === 'token') return;
  must(isName(frame.room), 'its room has a name');
  if (frame.type !== 'publish') return;
  must(frame.payload.length <= MAX_PAYLOAD, 'its payload is as large as it may be');
  const { data } = value.parsed as { data?: unknown };
  if (data === undefined || !text.isWellFormed() || /\\u[dD]/.test(text)) return;
  must(isDeepStrictEqual(JSON.parse(frame.payload.toString()), data), 'its payload is what was sent');
}

interface Parsed {
  readonly parsed: unknown;
}

function parse(text: string): Parsed | undefined {
  try {
    return { parsed: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** Of JSON: its deepest level, without its strings. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const bracket of text.replaceAll(/"(?:[^"\\]|\\.)*"/gs, '').match(/[[\]{}]/g) ?? []) {
    depth += bracket === '[' || bracket === '{' ? 1 : -1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}
