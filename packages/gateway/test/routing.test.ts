import fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, test } from 'vitest';
import { demoHosts } from '../src/admission/hosts.ts';
import { Admission, type AdmissionSources, type Asker } from '../src/admission.ts';
import type { PathPattern } from '../src/config/path.ts';
import { isRefused } from '../src/errors.ts';
import { readTarget } from '../src/http/target.ts';
import { ANYONE } from '../src/identity.ts';
import { Seats } from '../src/limits/seats.ts';
import type { Route } from '../src/routes/route.ts';
import { Router } from '../src/routes/router.ts';
import { processorMs } from './support/cpu.ts';
import { UNCOUNTED } from './support/public.ts';

const segments = (text: string, ...parts: string[]): PathPattern => ({
  text,
  segments: parts.map((part) => (part.startsWith(':') ? { param: part.slice(1) } : part === '*' ? { rest: 'rest' } : { literal: part })),
});
const routeOf = (path: PathPattern): Route => ({
  path,
  messageLimit: 1,
  denial: () => undefined,
  fault: () => undefined,
  open: () => Promise.reject(new Error('not asked for')),
});

const PATTERNS = [
  segments('/', ''),
  segments('/app/*', 'app', '*'),
  segments('/ws/:room/', 'ws', ':room', ''),
  segments('/room/:room', 'room', ':room'),
  segments('/room/lobby', 'room', 'lobby'),
  segments('/t/:tenant/room/:room', 't', ':tenant', 'room', ':room'),
  { text: '^/r/(?<room>[a-z]+)(/.*)?$', expression: RE2JS.compile('^/r/(?<room>[a-z]+)(/.*)?$') },
  { text: '^/cut/(?<room>.{1,2}).*$', expression: RE2JS.compile('^/cut/(?<room>.{1,2}).*$') },
  { text: '^/(a+)+$', expression: RE2JS.compile('^/(a+)+$') },
];
const router = new Router(PATTERNS.map(routeOf));
const matched = (path: string): unknown => {
  const match = router.match(path);
  return match === undefined ? undefined : [match.route.path.text, { ...match.params }];
};

describe('the router', () => {
  test.each([
    ['/', ['/', {}]],
    ['/room/1', ['/room/:room', { room: '1' }]],
    ['/room/lobby', ['/room/:room', { room: 'lobby' }]],
    ['/room/a%2Fb', ['/room/:room', { room: 'a/b' }]],
    ['/room/__proto__', ['/room/:room', { room: '__proto__' }]],
    ['/t/x/room/y', ['/t/:tenant/room/:room', { tenant: 'x', room: 'y' }]],
    ['/r/abc/def', ['^/r/(?<room>[a-z]+)(/.*)?$', { room: 'abc' }]],
    ['/room', undefined],
    ['/room/1/', undefined],
    ['/app/', ['/app/*', { rest: '' }]],
    ['/app/a/b%20c/', ['/app/*', { rest: 'a/b c/' }]],
    ['/app', undefined],
    ['/apps/a', undefined],
    ['/ws/1/', ['/ws/:room/', { room: '1' }]],
    ['/ws/1', undefined],
    ['/room/1/2', undefined],
    ['/Room/1', undefined],
    ['/r/ABC', undefined],
    ['/cut/%E2%82%AC', undefined],
    ['/cut/a', ['^/cut/(?<room>.{1,2}).*$', { room: 'a' }]],
  ])('%s', (path, expected) => {
    expect(matched(path)).toEqual(expected);
  });

  test('an escape never reaches a literal that the plain form would not', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z/%.;]{0,12}$/), (rest) => {
        const path = `/${rest}`;
        if (typeof readTarget(path) === 'string') return;
        const match = router.match(path);
        if (match?.route.path.text === '/room/:room') expect(path.startsWith('/room/')).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test('a path of 2 KB is judged at once, whatever the expression', async () => {
    matched(`/${'a'.repeat(2000)}!`);
    const cost = await processorMs(() => expect(matched(`/${'a'.repeat(2000)}!`)).toBeUndefined());
    expect(cost).toBeLessThan(50);
  });
});

describe('a target', () => {
  test.each([
    ['/room/1?a=b?c', { path: '/room/1', query: 'a=b?c' }],
    ['/%E2%82%AC?x=%20', { path: '/%E2%82%AC', query: 'x=%20' }],
    [`/${'a'.repeat(2047)}`, { path: `/${'a'.repeat(2047)}`, query: '' }],
    [`/${'a'.repeat(2048)}`, 'target_too_long'],
    ['', 'bad_request'],
    ['*', 'bad_request'],
    ['//', 'bad_request'],
    ['room', 'bad_request'],
    ['http://a.test:80/room/1?x', { path: '/room/1', query: 'x', host: 'a.test:80' }],
    ['HTTPS://[::1]', { path: '/', query: '', host: '[::1]' }],
    ['http://a.test?x', { path: '/', query: 'x', host: 'a.test' }],
    ['http:///room/1', 'bad_request'],
    ['http://user@a.test/room/1', 'bad_request'],
    ['http://a.test//room/1', 'bad_request'],
    ['http://a b/room/1', 'bad_request'],
    ['ftp://a.test/room/1', 'bad_request'],
    [`/?filter[x]=1&a={b}|c^d\`e"f`, { path: '/', query: 'filter[x]=1&a={b}|c^d`e"f' }],
    ['/?a#b', 'bad_request'],
    ['/?a b', 'bad_request'],
    ['/?é', 'bad_request'],
    ['/a b', 'bad_request'],
    ['/é', 'bad_request'],
    ['/#', 'bad_request'],
    ['/%zz', 'bad_request'],
    ['/%C3%28', 'bad_request'],
    ['/?%', 'bad_request'],
  ])('%.40s', (target, expected) => {
    expect(readTarget(target)).toEqual(expected);
  });
});

test('whatever is written as a target is read or refused', () => {
  const piece = fc.constantFrom(
    '/',
    '//',
    '?',
    '#',
    '%',
    '%2F',
    '%E2%82%AC',
    '%E2',
    'http://',
    'HTTPS://',
    'a',
    ':80',
    '@',
    '[',
    ']',
    '*',
    ' ',
    '..',
    'é',
    '\\',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const target = readTarget(pieces.join(''));
      if (typeof target === 'string') return;
      expect(target.path.startsWith('/') && !target.path.startsWith('//')).toBe(true);
      expect(target.host ?? 'none').not.toMatch(/[@/?#]/);
      router.match(target.path);
    }),
    { numRuns: 5000 },
  );
});

describe('admission', () => {
  const state = { refuses: false, sessions: 0, isFull: false, away: false };
  const remote = { address: '192.0.2.7', port: 5 };
  const asker = (origin: string | undefined, host: string): Asker => ({
    origin,
    host,
    remote,
    identity: ANYONE,
    method: 'GET',
    path: '/',
    queryString: '',
    headers: {},
    rawHeaders: [],
  });
  const admissionOf = (
    origins: readonly string[] = [],
    seats = UNCOUNTED,
    auth: Partial<Pick<AdmissionSources, 'authority' | 'believesCookies'>> = {},
  ): Admission =>
    new Admission({
      layer: {
        get status() {
          return { state: state.away ? ('away' as const) : ('connected' as const), since: new Date() };
        },
      },
      memory: state,
      refuses: () => state.refuses,
      sessions: () => state.sessions,
      limit: 2,
      origins,
      answersTo: (host) => host !== 'elsewhere',
      seats,
      authority: undefined,
      believesCookies: false,
      ...auth,
      log: { warn: (_message, fields) => void logged.push(fields) },
    });
  const logged: unknown[] = [];
  const patterns = ['https://*.example.com', 'http://localhost:*', 'capacitor://localhost', 'chrome-extension://abcdefghijklmnop', 'null'];
  const listed = ['https://good.example', 'http://localhost:3000'];

  test.each([
    [undefined, 'busgate.test', [], undefined],
    ['https://busgate.test', 'busgate.test', [], undefined],
    ['https://busgate.test', 'BUSGATE.test', [], undefined],
    ['https://busgate.test', 'busgate.test:443', [], undefined],
    ['https://busgate.test:8443', 'busgate.test:8443', [], undefined],
    ['http://localhost:8080', 'localhost:8080', [], undefined],
    ['http://app.localhost', 'app.localhost:80', [], undefined],
    ['http://192.0.2.1:8080', '192.0.2.1:8080', [], undefined],
    // A name that any page may have its DNS give to this machine.
    ['http://busgate.test', 'busgate.test', [], 'origin'],
    ['http://busgate.test:8080', 'busgate.test:8080', [], 'origin'],
    ['http://localhost.evil.test', 'localhost.evil.test', [], 'origin'],
    ['http://127.0.0.1.evil.test', '127.0.0.1.evil.test', [], 'origin'],
    ['http://[::1]:8080', '[::1]:8080', [], undefined],
    ['null', 'busgate.test', [], 'origin'],
    ['', 'busgate.test', [], 'origin'],
    ['busgate.test', 'busgate.test', [], 'origin'],
    ['http://busgate.test:81', 'busgate.test', [], 'origin'],
    ['HTTP://BUSGATE.TEST', 'busgate.test', [], 'origin'],
    ['ftp://busgate.test', 'busgate.test', [], 'origin'],
    ['http://busgate.test.evil.test', 'busgate.test', [], 'origin'],
    ['http://evilbusgate.test', 'busgate.test', [], 'origin'],
    ['http://busgate.test, http://busgate.test', 'busgate.test', [], 'origin'],
    ['https://good.example', 'other.example', listed, undefined],
    ['http://localhost:3000', 'other.example', listed, undefined],
    ['http://good.example', 'other.example', listed, 'origin'],
    ['https://good.example:444', 'other.example', listed, 'origin'],
    ['https://good.example.evil.test', 'other.example', listed, 'origin'],
    ['https://evilgood.example', 'other.example', listed, 'origin'],
    ['https://GOOD.example', 'other.example', listed, 'origin'],
    ['https://other.example', 'other.example', listed, 'origin'],
    ['https://a.example.com', 'x', patterns, undefined],
    ['https://a.b.example.com', 'x', patterns, undefined],
    ['https://example.com', 'x', patterns, 'origin'],
    ['https://evilexample.com', 'x', patterns, 'origin'],
    ['https://evil.test/.example.com', 'x', patterns, 'origin'],
    ['https://evil.test:1.example.com', 'x', patterns, 'origin'],
    ['https://.example.com', 'x', patterns, 'origin'],
    ['https://a.example.com:444', 'x', patterns, 'origin'],
    ['http://a.example.com', 'x', patterns, 'origin'],
    ['http://localhost', 'x', patterns, undefined],
    ['http://localhost:5173', 'x', patterns, undefined],
    ['http://localhost:x', 'x', patterns, 'origin'],
    ['http://localhost.evil.test:5173', 'x', patterns, 'origin'],
    ['capacitor://localhost', 'x', patterns, undefined],
    ['ionic://localhost', 'x', patterns, 'origin'],
    ['chrome-extension://abcdefghijklmnop', 'x', patterns, undefined],
    ['null', 'x', patterns, undefined],
  ])('origin %s asking %s, listed %j: %s', (origin, host, origins, expected) => {
    expect(admissionOf(origins).admitPost(asker(origin, host), () => undefined)).toBe(expected);
  });

  test('logs whose page was refused, what it asked and from where, and no more than a line of it', () => {
    logged.length = 0;
    expect(admissionOf().admitPost(asker(`http://${'x'.repeat(1000)}`, 'busgate.test'), () => undefined)).toBe('origin');
    expect(logged).toEqual([{ origin: `http://${'x'.repeat(193)}`, host: 'busgate.test', address: '192.0.2.7' }]);
  });

  test.each([
    [
      'localhost',
      ['localhost', 'LOCALHOST:8080', 'a.localhost', '127.0.0.1:8080', '127.8.8.8', '[::1]:8080'],
      ['evil.test', '192.0.2.1', 'localhost.evil.test', ''],
    ],
    ['*', ['localhost', '192.0.2.1:8080', '[2001:db8::1]:8080'], ['evil.test', '1.evil.test']],
    ['lan.example', ['lan.example:8080', 'localhost', '192.0.2.1'], ['evil.test', 'a.lan.example']],
    ['::1', ['localhost', '[::1]'], ['[2001:db8::1]']],
  ])('a demo that listens on %s answers to %j and not to %j', (listensOn, own, foreign) => {
    const answersTo = demoHosts(listensOn);
    expect([own.filter((host) => !answersTo(host)), foreign.filter(answersTo)]).toEqual([[], []]);
  });

  test('judges draining before address before the host before origin before rights before capacity and memory before the layer, and those that are coming count', () => {
    const lost = asker('null', 'elsewhere');
    const stranger = asker('null', 'a');
    const friend = asker(undefined, 'a');
    let now = 0;
    const limits = { address: { sessions: undefined, handshakes: { perSecond: 1, burst: 12 } }, user: { sessions: undefined, replace: false } };
    const admission = admissionOf([], new Seats(limits, () => now));
    const open = (who: Asker, may = true): ReturnType<Admission['admitSession']> => admission.admitSession(who, () => (may ? undefined : 'not_allowed'));
    Object.assign(state, { refuses: true, sessions: 2, isFull: true, away: true });
    expect(open(lost, false)).toBe('draining');
    state.refuses = false;
    for (let asked = 0; asked < 12; asked += 1) expect(open(lost, false)).toBe('host');
    expect(open(lost, false)).toBe('rate');
    now = 60_000;
    expect(open(lost, false)).toBe('host');
    expect(open(stranger, false)).toBe('origin');
    expect(open(friend, false)).toBe('not_allowed');
    expect(open(friend)).toBe('full');
    expect(admission.admitPost(friend, () => 'not_allowed')).toBe('not_allowed');
    expect(admission.admitQuestion(friend, () => 'not_allowed')).toBe('not_allowed');
    state.sessions = 1;
    expect([open(friend), admission.admitPost(friend, () => undefined), admission.admitQuestion(friend, () => undefined)]).toEqual(['full', 'full', 'full']);
    state.isFull = false;
    expect(admission.admitQuestion(friend, () => undefined)).toBe('away');
    expect(admission.admitPost(friend, () => undefined)).toBe('away');
    expect(open(friend)).toBe('away');
    state.away = false;
    const seat = open(friend);
    expect(open(friend)).toBe('full');
    if (seat instanceof Promise || isRefused(seat)) throw new Error('a place is free');
    admission.settle(seat);
    expect(open(friend)).toEqual(seat);
  });
});
