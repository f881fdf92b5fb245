import { ERRORS } from '../../src/errors.ts';
import { PATH } from '../../src/config/path.ts';
import { readTarget } from '../../src/http/target.ts';
import type { Route } from '../../src/routes/route.ts';
import { Router } from '../../src/routes/router.ts';
import { wishFor } from '../../src/transports/stream/accept.ts';
import { type FuzzedParser, must } from './parser.ts';

const PATHS = ['/', '/room/:room', '/socket', '/app/*', '/ws/:room/', { regex: '^/r/(?<room>[a-z%]+)(/.*)?$' }, { regex: '^/cut/(?<room>.{1,2}).*$' }];

const router = new Router(PATHS.map(routeOf));

/** What a request asks for, from its first line to its route and its query. */
export const TARGETS: FuzzedParser = {
  name: 'targets',
  examples: [
    '/room/1',
    '/socket?rooms=a&rooms=b&since=1-YTphLGIsMTsh&last=5',
    '/app/a/b%20c/?x=1',
    '/room/%E2%82%AC',
    '/cut/%E2%82%AC',
    '/r/abc/def',
    'http://a.test:80/room/1?x',
    'HTTPS://[::1]:8080',
    '//evil/ws',
    '*',
    '/..//../x',
    '/a%2f..%2fb;param',
    '/?filter[x]=1|2',
    '/room/%E0%A4%A?%',
  ],
  words: ['%2F', '%2f', '%00', '%ff', '%E2%82', '%', '..', '//', 'http://', 'room', '/room/', '/cut/', '?', '&', '=', '@', '[::1]', ':8080', '__proto__', '+'],
  feed: feedTarget,
};

function feedTarget(input: string): void {
  const target = readTarget(input);
  if (typeof target === 'string') return must(ERRORS[target].status !== undefined, 'it is refused with a status');
  must(target.path.startsWith('/') && !target.path.startsWith('//'), 'its path begins with one slash');
  const match = router.match(target.path);
  for (const value of Object.values(match?.params ?? {})) must(value.isWellFormed(), 'what a parameter holds is text');
  const query = new URLSearchParams(target.query);
  must(query.size >= 0, 'its query can be read');
  const wish = wishFor('text/event-stream', target.query);
  must(wish >= 0 && wish <= 1, 'what is wanted is a part of one');
}

function routeOf(raw: unknown): Route {
  const path = PATH.read(raw, ({ must: rule }) => must(false, rule));
  must(path !== undefined, 'it is a path');
  return { path, messageLimit: 1, denial: () => undefined, fault: () => undefined, open: () => 'no_route' };
}
