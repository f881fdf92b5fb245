import { describe, expect, test } from 'vitest';
import { type CredentialSettings, Credentials } from '../src/auth/credentials.ts';

const ALL: CredentialSettings = { query: true, cookie: 'live' };

function tokensOf(rawHeaders: readonly string[], queryString = '', settings: CredentialSettings = ALL): readonly string[] {
  return new Credentials(settings).tokensOf({ rawHeaders, queryString });
}

describe('a token stands', () => {
  test('in Authorization, as a bearer’s', () => {
    expect(tokensOf(['authorization', 'Bearer a.b.c'])).toEqual(['a.b.c']);
    expect(tokensOf(['AUTHORIZATION', 'bearer   a.b.c '])).toEqual(['a.b.c']);
    expect(tokensOf(['Authorization', 'Basic dTpw', 'Authorization', 'BearerX a'])).toEqual([]);
    expect(tokensOf(['Authorization', 'Bearer', 'Authorization', 'Bearer '])).toEqual(['', '']);
  });

  test('beside a subprotocol', () => {
    expect(tokensOf(['Sec-WebSocket-Protocol', 'busgate.v1, busgate.token.a.b.c'])).toEqual(['a.b.c']);
    expect(tokensOf(['Sec-WebSocket-Protocol', 'busgate.v1', 'sec-websocket-protocol', 'busgate.token.a,busgate.token.b'])).toEqual(['a', 'b']);
    expect(tokensOf(['Sec-WebSocket-Protocol', 'busgate.tokens, xbusgate.token.a'])).toEqual([]);
  });

  test('in the query where it may', () => {
    expect(tokensOf([], 'a=1&token=a.b.c')).toEqual(['a.b.c']);
    expect(tokensOf([], 'token=a&t%6fken=b')).toEqual(['a', 'b']);
    expect(tokensOf([], 'token=a.b.c', { query: false, cookie: undefined })).toEqual([]);
  });

  test('in the cookie that is named, and in no other', () => {
    expect(tokensOf(['Cookie', 'a=live=x; live=a.b.c; liver=d; xlive=e'])).toEqual(['a.b.c']);
    expect(tokensOf(['Cookie', 'live="a.b.c"'])).toEqual(['a.b.c']);
    expect(tokensOf(['Cookie', 'live=a; live=b', 'cookie', 'live=c'])).toEqual(['a', 'b', 'c']);
    expect(tokensOf(['Cookie', 'live=a.b.c'], '', { query: true, cookie: undefined })).toEqual([]);
  });

  test('and wherever they stand all of them are found', () => {
    expect(tokensOf(['Authorization', 'Bearer a', 'Sec-WebSocket-Protocol', 'busgate.token.b', 'Cookie', 'live=c'], 'token=d').toSorted()).toEqual([
      'a',
      'b',
      'c',
      'd',
    ]);
  });
});

test('what others are told of a request has no token, and all the rest as it was', () => {
  const credentials = new Credentials(ALL);
  const rawHeaders = [
    'Host',
    'a.example',
    'Authorization',
    'Bearer a.b.c',
    'X-Empty',
    '',
    'Sec-WebSocket-Protocol',
    'busgate.v1,  busgate.token.a.b.c, other',
    'Cookie',
    'session=1;live=a.b.c;  theme="x y"',
    'authorization',
    'Basic dTpw',
  ];
  expect(credentials.without({ rawHeaders, queryString: 'x=%20&token=a.b.c&y&t%6Fken=2&tokens=3' })).toEqual({
    rawHeaders: [
      'Host',
      'a.example',
      'X-Empty',
      '',
      'Sec-WebSocket-Protocol',
      'busgate.v1, other',
      'Cookie',
      'session=1; theme="x y"',
      'authorization',
      'Basic dTpw',
    ],
    queryString: 'x=%20&y&tokens=3',
  });
  const alone = { rawHeaders: ['Sec-WebSocket-Protocol', 'busgate.token.a', 'Cookie', 'live=a'], queryString: 'token=a' };
  expect(credentials.without(alone)).toEqual({ rawHeaders: [], queryString: '' });
  const untouched = { rawHeaders: ['Cookie', 'session=1;theme=2', 'Sec-WebSocket-Protocol', 'a,b'], queryString: 'token=a' };
  expect(new Credentials({ query: false, cookie: undefined }).without(untouched)).toEqual(untouched);
});
