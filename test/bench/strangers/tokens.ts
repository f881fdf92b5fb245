import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

/** The key that the gateway believes, for the length of a run. */
const OWN = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** The setting `auth.jwt`. */
export const JWT: string = JSON.stringify({ key: OWN.publicKey.export({ format: 'pem', type: 'spki' }), algorithms: ['ES256'] });

/** Whom it believes. */
export const GUEST: string = signedBy(OWN.privateKey);

/** Whom it does not: the signature is one, of another key, so that it has to be checked. */
export const STRANGER: string = signedBy(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);

function signedBy(key: KeyObject): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${encode({ alg: 'ES256' })}.${encode({ sub: 'somebody', exp: Math.floor(Date.now() / 1000) + 3600 })}`;
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}
