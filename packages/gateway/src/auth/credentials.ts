/** How a subprotocol begins that is a token: a browser's WebSocket can send one nowhere else. */
const SUBPROTOCOL = 'busgate.token.';
const BEARER = /^bearer(?: +|$)/i;
const QUERY = 'token';

/** What a request says of who makes it. */
export interface Presenting {
  /** Names and values in turn, as they were sent. */
  readonly rawHeaders: readonly string[];
  /** What followed the first `?`, as it was sent. */
  readonly queryString: string;
}

export interface CredentialSettings {
  /** Whether a token may stand in the query. */
  readonly query: boolean;
  /** The cookie in which one may stand. */
  readonly cookie: string | undefined;
}

/** Where tokens stand in a request. */
export class Credentials {
  readonly #settings: CredentialSettings;

  constructor(settings: CredentialSettings) {
    this.#settings = settings;
  }

  /** Every token there is, wherever it stands: more than one is nobody's. */
  tokensOf({ rawHeaders, queryString }: Presenting): readonly string[] {
    const tokens = this.#settings.query ? new URLSearchParams(queryString).getAll(QUERY) : [];
    for (const [name, value] of pairsOf(rawHeaders)) {
      if (name === 'authorization' && BEARER.test(value)) tokens.push(value.replace(BEARER, '').trim());
      else if (name === 'sec-websocket-protocol')
        tokens.push(
          ...offersOf(value)
            .filter(isTokenOffer)
            .map((offer) => offer.slice(SUBPROTOCOL.length)),
        );
      else if (name === 'cookie') tokens.push(...this.#inCookies(value));
    }
    return tokens;
  }

  /** What others may be told of the request: the same without the tokens. */
  without({ rawHeaders, queryString }: Presenting): Presenting {
    const kept = pairsOf(rawHeaders, false).flatMap(([name, value]) => {
      const left = this.#withoutTokens(name.toLowerCase(), value);
      return left === '' && value !== '' ? [] : [name, left];
    });
    return { rawHeaders: kept, queryString: this.#settings.query ? withoutQuery(queryString) : queryString };
  }

  #withoutTokens(name: string, value: string): string {
    if (name === 'authorization') return BEARER.test(value) ? '' : value;
    if (name === 'sec-websocket-protocol')
      return offersOf(value).some(isTokenOffer)
        ? offersOf(value)
            .filter((offer) => !isTokenOffer(offer))
            .join(', ')
        : value;
    if (name !== 'cookie' || this.#inCookies(value).length === 0) return value;
    return cookiesOf(value)
      .filter((cookie) => nameOf(cookie) !== this.#settings.cookie)
      .join('; ');
  }

  #inCookies(header: string): readonly string[] {
    const { cookie } = this.#settings;
    if (cookie === undefined || !header.includes(cookie)) return [];
    return cookiesOf(header)
      .filter((one) => nameOf(one) === cookie)
      .map((one) => one.slice(cookie.length + 1).replace(/^"(.*)"$/, '$1'));
  }
}

function pairsOf(rawHeaders: readonly string[], lower = true): readonly (readonly [name: string, value: string])[] {
  const pairs: [string, string][] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    pairs.push([lower ? name.toLowerCase() : name, rawHeaders[index + 1] ?? '']);
  }
  return pairs;
}

function offersOf(header: string): readonly string[] {
  return header.split(',').map((offer) => offer.trim());
}

/** Whether a subprotocol is a token. */
export function isTokenOffer(offer: string): boolean {
  return offer.startsWith(SUBPROTOCOL);
}

function cookiesOf(header: string): readonly string[] {
  return header.split(';').map((cookie) => cookie.trim());
}

function nameOf(cookie: string): string {
  return cookie.split('=', 1)[0] ?? '';
}

/** The rest stays as it was written. */
function withoutQuery(queryString: string): string {
  return queryString
    .split('&')
    .filter((part) => !new URLSearchParams(part).has(QUERY))
    .join('&');
}
