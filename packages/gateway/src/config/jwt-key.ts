import { createPublicKey, type KeyObject } from 'node:crypto';

/** Signature algorithms (RFC 7518 section 3.1, RFC 8037), by what their key is. `none` is not one of them. */
const BY_KEY = {
  secret: ['HS256', 'HS384', 'HS512'],
  rsa: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  prime256v1: ['ES256'],
  secp384r1: ['ES384'],
  secp521r1: ['ES512'],
  ed25519: ['EdDSA', 'Ed25519'],
} as const;

export type Algorithm = (typeof BY_KEY)[keyof typeof BY_KEY][number];

export const ALGORITHMS: readonly Algorithm[] = Object.values(BY_KEY).flat();

/** Bits of an RSA key at the least (RFC 7518 section 3.3). */
const MIN_RSA_BITS = 2048;

/** One key that the configuration holds: a secret that the issuer has too, or the public half of the issuer's. */
export type JwtKey = { readonly secret: string; readonly publicKey?: never } | { readonly publicKey: KeyObject; readonly secret?: never };

export const KEY_RULE = `a public key or certificate in PEM (RSA of ${MIN_RSA_BITS} bits or more, P-256, P-384, P-521 or Ed25519), or a secret`;

/** Undefined for what is no key, and for a private one, which only the issuer may have. */
export function readKey(text: string): JwtKey | undefined {
  if (!text.trimStart().startsWith('-----BEGIN ')) return text.trim() === '' ? undefined : { secret: text };
  if (text.includes('PRIVATE KEY')) return undefined;
  try {
    const publicKey = createPublicKey(text);
    return kindOf(publicKey) === undefined ? undefined : { publicKey };
  } catch {
    return undefined;
  }
}

/** The algorithms that a key may be used with: which one a token names decides nothing (RFC 8725 section 3.1). */
export function algorithmsOf({ publicKey }: JwtKey): readonly Algorithm[] {
  const kind = publicKey === undefined ? 'secret' : kindOf(publicKey);
  return kind === undefined ? [] : BY_KEY[kind];
}

/** Those that anybody may check who has what is published. */
export function arePublic(algorithms: readonly Algorithm[]): boolean {
  return !algorithms.some((algorithm) => algorithm.startsWith('HS'));
}

function kindOf({ asymmetricKeyType, asymmetricKeyDetails: { namedCurve, modulusLength = 0 } = {} }: KeyObject): keyof typeof BY_KEY | undefined {
  const kind = asymmetricKeyType === 'ec' ? namedCurve : asymmetricKeyType;
  if (kind === 'rsa' && modulusLength < MIN_RSA_BITS) return undefined;
  return kind !== undefined && kind !== 'secret' && Object.hasOwn(BY_KEY, kind) ? (kind as keyof typeof BY_KEY) : undefined;
}
