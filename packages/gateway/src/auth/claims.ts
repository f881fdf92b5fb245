import type { JwtSettings } from '../config/auth.ts';
import { type Grant, readGranted } from './grant.ts';
import type { JsonObject } from './json.ts';

/** Why a token is not believed: a closed list, for the log. */
export type TokenFault =
  | 'two_tokens'
  | 'too_long'
  | 'malformed'
  | 'algorithm'
  | 'unknown_key'
  | 'signature'
  | 'bad_claims'
  | 'no_end'
  | 'expired'
  | 'too_early'
  | 'issuer'
  | 'audience'
  | 'revoked';

type ClaimSettings = Pick<JwtSettings, 'issuer' | 'audience' | 'leeway' | 'maxAge'>;

/** Later than this no token ends, in seconds since 1970: who says so has written milliseconds. */
const LATEST = 100_000_000_000;

/** What a token whose signature is good says of its bearer (RFC 7519 section 4.1), at `now`, in milliseconds since 1970. */
export function readClaims(claims: JsonObject, settings: ClaimSettings, now: number): Grant | TokenFault {
  const { iss, aud, sub, jti } = claims;
  const granted = readGranted(claims['busgate']);
  const times = timesOf(claims);
  if (granted === undefined || times === undefined || !isText(sub) || !isText(jti)) return 'bad_claims';
  if (settings.issuer !== undefined && iss !== settings.issuer) return 'issuer';
  if (!isFor(settings.audience, aud)) return 'audience';
  const until = endOf(times, settings, now);
  return typeof until === 'string' ? until : { user: sub, ...granted, expiresAt: until, issuedAt: times.iat, id: jti };
}

interface Times {
  readonly exp: number | undefined;
  readonly nbf: number | undefined;
  readonly iat: number | undefined;
}

/** When it ends, where it holds now: from its first moment on, and not at its last (RFC 7519 section 4.1.4). */
function endOf({ exp, nbf, iat }: Times, { leeway, maxAge }: ClaimSettings, now: number): number | TokenFault {
  if (maxAge !== undefined && iat === undefined) return 'no_end';
  const oldest = maxAge === undefined || iat === undefined ? Infinity : iat + maxAge;
  const end = Math.min(exp ?? Infinity, oldest);
  if (end === Infinity) return 'no_end';
  if (now >= end + leeway) return 'expired';
  const begin = Math.max(nbf ?? -Infinity, oldest === Infinity ? -Infinity : (iat ?? -Infinity));
  return now + leeway < begin ? 'too_early' : end;
}

/** In milliseconds; undefined where one of them is no time. */
function timesOf(claims: JsonObject): Times | undefined {
  const [exp, nbf, iat] = [claims['exp'], claims['nbf'], claims['iat']];
  if (!isTime(exp) || !isTime(nbf) || !isTime(iat)) return undefined;
  return { exp: inMs(exp), nbf: inMs(nbf), iat: inMs(iat) };
}

/** Absent, or seconds since 1970, fractions allowed (RFC 7519 section 2, NumericDate). */
function isTime(value: unknown): value is number | undefined {
  return value === undefined || (typeof value === 'number' && value >= 0 && value < LATEST);
}

function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : Math.floor(seconds * 1000);
}

function isText(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === 'string' && value !== '');
}

function isFor(wanted: readonly string[], aud: unknown): boolean {
  if (wanted.length === 0) return true;
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  return wanted.some((audience) => named.includes(audience));
}
