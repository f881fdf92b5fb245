import { KEY, request, upgrade } from '../../packages/gateway/test/support/raw.ts';

/** A host that a demo answers to. */
export const HOST = { Host: 'localhost' };
const TINY = Array.from({ length: 2050 }, (_, index) => `a${index}: b`);

/** What is sent in place of an upgrade of a demo's room, and how it is refused. */
interface Refusal {
  readonly attack: number;
  readonly name: string;
  readonly sent: string;
  readonly status: number;
  readonly header?: readonly [string, string];
}

/** An upgrade of the room, in order but for `changes`. */
export const changed = (changes: Readonly<Record<string, string>>, line?: string): string => upgrade('/room/1', { ...HOST, ...changes }, line);
export const target = (path: string): string => upgrade(path, HOST);
export const protocols = (offers: string): string => changed({ 'Sec-WebSocket-Protocol': offers });

export const REFUSALS: readonly Refusal[] = [
  { attack: 3, name: 'one header of 20 KB', sent: changed({ 'X-Long': 'x'.repeat(20_000) }), status: 431 },
  { attack: 3, name: '2100 small headers', sent: request('GET /room/1 HTTP/1.1', 'Host: localhost', ...TINY, ...TINY.slice(0, 50)), status: 431 },
  { attack: 4, name: '2050 headers before Upgrade', sent: changed({}).replace('\r\n', `\r\n${TINY.join('\r\n')}\r\n`), status: 431 },
  { attack: 5, name: 'a subprotocol with 15,000 spaces', sent: protocols(`b${' '.repeat(15_000)}x`), status: 400 },
  { attack: 6, name: 'an empty subprotocol', sent: protocols('a,,b'), status: 400 },
  { attack: 6, name: 'the same subprotocol twice', sent: protocols('a, a'), status: 400 },
  { attack: 8, name: 'version 12', sent: changed({ 'Sec-WebSocket-Version': '12' }), status: 426, header: ['sec-websocket-version', '13'] },
  { attack: 8, name: 'no version', sent: changed({ 'Sec-WebSocket-Version': '' }), status: 426, header: ['sec-websocket-version', '13'] },
  { attack: 8, name: 'version 13 twice', sent: changed({ 'Sec-WebSocket-Version': '13, 13' }), status: 426, header: ['sec-websocket-version', '13'] },
  {
    attack: 9,
    name: 'version 8, with a good origin where that version has it',
    sent: changed({ 'Sec-WebSocket-Version': '8', 'Sec-WebSocket-Origin': 'http://localhost', Origin: 'http://evil.test' }),
    status: 426,
  },
  { attack: 10, name: 'no key', sent: changed({ 'Sec-WebSocket-Key': '' }), status: 400 },
  { attack: 10, name: 'a key of 3 bytes', sent: changed({ 'Sec-WebSocket-Key': 'YWJj' }), status: 400 },
  { attack: 10, name: 'a key of 17 bytes', sent: changed({ 'Sec-WebSocket-Key': 'MTIzNDU2Nzg5MDEyMzQ1Njc=' }), status: 400 },
  { attack: 10, name: 'a key that is no base64', sent: changed({ 'Sec-WebSocket-Key': KEY.replace('G', '!') }), status: 400 },
  { attack: 11, name: 'POST as an upgrade', sent: changed({}, 'POST /room/1 HTTP/1.1'), status: 405, header: ['allow', 'GET'] },
  { attack: 11, name: 'PUT as an upgrade', sent: changed({}, 'PUT /room/1 HTTP/1.1'), status: 405, header: ['allow', 'GET'] },
  { attack: 11, name: 'CONNECT', sent: request('CONNECT localhost:80 HTTP/1.1', 'Host: localhost:80'), status: 405, header: ['allow', 'GET'] },
  { attack: 12, name: 'HTTP/1.0', sent: changed({}, 'GET /room/1 HTTP/1.0'), status: 400 },
  { attack: 12, name: 'no Host', sent: changed({ Host: '' }), status: 400 },
  { attack: 12, name: 'two Hosts', sent: changed({ Host: 'localhost\r\nHost: localhost' }), status: 400 },
  {
    attack: 13,
    name: 'a second request in the body of the upgrade',
    sent: `${changed({ 'Content-Length': '38' })}GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    status: 400,
  },
  { attack: 14, name: 'two lengths of one body', sent: changed({ 'Content-Length': '3', 'Transfer-Encoding': 'chunked' }), status: 400 },
  { attack: 14, name: 'a folded header', sent: changed({ 'X-A': 'b\r\n c' }), status: 400 },
  { attack: 14, name: 'bare line feeds', sent: changed({}).replaceAll('\r\n', '\n'), status: 400 },
  { attack: 14, name: 'NUL in a header', sent: changed({ 'X-A': 'b\0c' }), status: 400 },
  { attack: 14, name: 'a space before the colon', sent: changed({ 'X-A ': 'b' }), status: 400 },
  { attack: 16, name: 'an upgrade to another protocol, which is ignored', sent: changed({ Upgrade: 'h2c' }), status: 426 },
  { attack: 16, name: 'an upgrade to one of two protocols', sent: changed({ Upgrade: 'websocket, h2c' }), status: 400 },
  { attack: 16, name: 'an upgrade that Connection does not name', sent: changed({ Connection: 'keep-alive' }), status: 400 },
  { attack: 17, name: 'the target //', sent: target('//'), status: 400 },
  { attack: 17, name: 'the target //[]/ws', sent: target('//[]/ws'), status: 400 },
  { attack: 17, name: 'the target //:0', sent: target('//:0'), status: 400 },
  { attack: 18, name: 'the target //evil/room/1', sent: target('//evil/room/1'), status: 400 },
  { attack: 18, name: String.raw`the target /\evil`, sent: target(String.raw`/\evil`), status: 400 },
  { attack: 18, name: 'a whole URL of another host', sent: target('http://evil.test/room/1'), status: 403 },
  { attack: 18, name: 'the target *', sent: target('*'), status: 400 },
  { attack: 19, name: 'the escape %', sent: target('/room/%'), status: 400 },
  { attack: 19, name: 'the escape %ff', sent: target('/room/%ff'), status: 400 },
  { attack: 19, name: 'an escape that is cut off in the query', sent: target('/room/1?room=%E0%A4%A'), status: 400 },
  { attack: 20, name: 'dots in the path', sent: target('/..//../room/1'), status: 404 },
  { attack: 20, name: 'dots behind an encoded slash', sent: target('/room/a%2f..%2fb'), status: 400 },
  { attack: 20, name: 'a path with a parameter of its own', sent: target('/room;a=b/1'), status: 404 },
  { attack: 20, name: 'a trailing dot', sent: target('/room/1.'), status: 400 },
  { attack: 20, name: 'capitals', sent: target('/ROOM/1'), status: 404 },
  { attack: 20, name: 'an encoded letter', sent: target('/%72oom/1'), status: 404 },
  { attack: 21, name: 'a query of 8 KB', sent: target(`/room/1?${'a'.repeat(8000)}`), status: 414 },
  { attack: 21, name: '5,000 parameters', sent: target(`/room/1?${'a&'.repeat(5000)}`), status: 414 },
];
