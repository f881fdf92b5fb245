import { Buffer } from 'node:buffer';
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const VERSION = 0x80;
/** The version, 8 bytes of seconds and an initialization vector of 16 stand before the ciphertext, a signature of 32 after it. */
const HEAD = 25;
const SIGNATURE = 32;
/** A sender's clock may be ahead that far, in seconds. */
const MAX_SKEW = 60;

/** What makes one token differ from another. */
interface TokenSource {
  /** Seconds since 1970. */
  now(): number;
  vector(): Buffer;
}

const SYSTEM: TokenSource = { now: () => Math.floor(Date.now() / 1000), vector: () => randomBytes(16) };

interface FernetKey {
  readonly signing: Buffer;
  readonly encryption: Buffer;
}

/**
 * Encrypts as Python's `cryptography.fernet` does (Fernet specification, version 0x80): AES-128 in CBC mode with PKCS7, signed by HMAC-SHA256, as URL-safe
 * base64 with padding. The keys are channels_redis's `symmetric_encryption_keys`: the SHA-256 of each is its signing key and its encryption key.
 */
export class Fernet {
  readonly #keys: readonly FernetKey[];
  readonly #maxAge: number | undefined;
  readonly #source: TokenSource;

  /** The first key encrypts, all are tried to decrypt. A token older than `maxAge` seconds, or from further ahead than a minute, is refused; without it none is. */
  constructor(keys: readonly string[], maxAge?: number, source: TokenSource = SYSTEM) {
    this.#keys = keys.map(derive);
    this.#maxAge = maxAge;
    this.#source = source;
  }

  encrypt(plain: Uint8Array): Buffer {
    const { signing, encryption } = this.#keys[0] as FernetKey;
    const head = Buffer.alloc(9, VERSION);
    head.writeBigUInt64BE(BigInt(this.#source.now()), 1);
    const vector = this.#source.vector();
    const cipher = createCipheriv('aes-128-cbc', encryption, vector);
    const body = Buffer.concat([head, vector, cipher.update(plain), cipher.final()]);
    const token = Buffer.concat([body, sign(signing, body)]);
    return Buffer.from(token.toString('base64').replaceAll('+', '-').replaceAll('/', '_'));
  }

  /** @throws Error where it is no token of one of these keys, or one that is too old */
  decrypt(token: Buffer): Buffer {
    const bytes = Buffer.from(token.toString('latin1'), 'base64url');
    if (bytes.length < HEAD + SIGNATURE || bytes[0] !== VERSION) throw new Error('no Fernet token');
    this.#checkAge(Number(bytes.readBigUInt64BE(1)));
    const body = bytes.subarray(0, -SIGNATURE);
    const signature = bytes.subarray(-SIGNATURE);
    const key = this.#keys.find(({ signing }) => timingSafeEqual(sign(signing, body), signature));
    if (key === undefined) throw new Error('encrypted with another key');
    const decipher = createDecipheriv('aes-128-cbc', key.encryption, body.subarray(9, HEAD));
    return Buffer.concat([decipher.update(body.subarray(HEAD)), decipher.final()]);
  }

  #checkAge(madeAt: number): void {
    if (this.#maxAge === undefined) return;
    const now = this.#source.now();
    if (madeAt + this.#maxAge < now) throw new Error('the token is too old');
    if (madeAt > now + MAX_SKEW) throw new Error('the token is from the future');
  }
}

function derive(key: string): FernetKey {
  const hash = createHash('sha256').update(key).digest();
  return { signing: hash.subarray(0, 16), encryption: hash.subarray(16) };
}

function sign(key: Buffer, body: Buffer): Buffer {
  return createHmac('sha256', key).update(body).digest();
}
