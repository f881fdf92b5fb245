import { validateHeaderName, validateHeaderValue } from 'node:http';
import { isName } from '@busgate/layer';
import { parseReplies } from '../../src/routes/events/parse-reply.ts';
import { type Action, REFUSALS } from '../../src/routes/events/reply.ts';
import { encodeMessage } from '../../../layer/src/codec.ts';
import { type FuzzedParser, must } from './parser.ts';

const MAX_MESSAGE = 1_048_576;

/** What workers reply. */
export const REPLIES: FuzzedParser = {
  name: 'replies',
  examples: [
    '{"type":"websocket.accept","subprotocol":"v1","headers":[["Set-Cookie","a=b"]],"queue":"app.w.1","window":32,"done":0}',
    '{"type":"websocket.send","text":"hé","done":3,"lease":2,"state":{"n":1}}',
    '{"type":"websocket.send","bytes":{"$bytes":"AAE="}}',
    '{"type":"websocket.close","code":4001,"reason":"so"}',
    '{"type":"http.response","status":201,"headers":[["x","y"]],"json":{"a":[1]}}',
    '{"type":"http.response.body","body":{"$bytes":"AA=="},"more_body":true}',
    '{"type":"websocket.http.response.start","status":403}',
    '{"type":"room.join","room":"chat.1","since":"e:4","last":2}',
    '{"type":"room.publish","room":"r","json":null}',
    '{"type":"group.send","group":"all","message":{"type":"x","b":{"$bytes":"AA=="}}}',
    '{"replies":[{"accept":true,"text":"x","close":4000},{"type":"done","order":4},{"type":"state","state":null}]}',
    '{"type":"working","order":9007199254740991}',
  ],
  words: [
    '"',
    '[',
    ']',
    '{',
    '}',
    '[[',
    ':',
    ',',
    'null',
    'true',
    '-1',
    '1e400',
    '"type":"',
    '"state":',
    '"headers":[["a","b\\r\\n"]],',
    '"__proto__":{},',
    '"json":',
    '\\u0000',
    '"replies":[',
  ],
  feed(input) {
    for (const { reply, refused } of parseReplies(Buffer.from(input))) {
      must(reply !== undefined || REFUSALS.includes(refused), 'it is read, or refused with a word of the list');
      // Later events carry it.
      if (reply?.state !== undefined) encodeMessage({ state: reply.state.value }, MAX_MESSAGE);
      for (const action of reply?.actions ?? []) checkAction(action);
    }
  },
};

function checkAction(action: Action): void {
  if ('headers' in action) {
    for (const [name, value] of action.headers) {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    }
  }
  if ('room' in action) must(isName(action.room) && !action.room.startsWith('_'), 'a room has a name that clients may have');
  if (action.type === 'groupSend' && !Object.hasOwn(action.message, '__expires')) encodeMessage(action.message, MAX_MESSAGE);
  if (action.type === 'close') must(Buffer.byteLength(action.reason) <= 123, 'a reason fits its frame');
  if (action.type === 'start') must(action.status >= 200 && action.status <= 599, 'a status is one');
}
