import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { ChannelsFormat } from '../url.ts';
import { Fernet } from './fernet.ts';
import { readJson, writeJson } from './json.ts';
import { type DjangoMessage, isMessage } from './messages.ts';
import { type Packable, Packer, Unpacker } from './msgpack.ts';

/** Bytes that the core layer puts before each element unless its site says otherwise, since two of a sorted set may not be equal. */
const RANDOM = 12;

interface Notation {
  write(value: Packable): Buffer;
  read(bytes: Buffer): Packable;
}

const NOTATIONS: Readonly<Record<ChannelsFormat['serializer'], Notation>> = {
  msgpack: { write: (value) => Packer.pack(value), read: (bytes) => Unpacker.unpack(bytes) },
  json: { write: (value) => Buffer.from(writeJson(value)), read: readJson },
};

/** How a site's layer writes messages: in msgpack or JSON, then encrypted where it has keys, then behind random bytes on the core layer. */
export class Serializer {
  readonly #notation: Notation;
  readonly #crypter: Fernet | undefined;
  readonly #random: number;
  /** Whether it writes what channels_redis does where nothing is configured, on the core layer: a script in Redis can complete it. */
  readonly isPlain: boolean;

  private constructor(format: ChannelsFormat, random: number, maxAge: number | undefined) {
    const { serializer, encryptionKeys } = format;
    this.#notation = NOTATIONS[serializer];
    this.#crypter = encryptionKeys.length === 0 ? undefined : new Fernet(encryptionKeys, maxAge);
    this.#random = random;
    this.isPlain = serializer === 'msgpack' && encryptionKeys.length === 0 && random === RANDOM;
  }

  /** The pub/sub layer's: nothing is random, and a token may have any age. */
  static forPubSub(format: ChannelsFormat): Serializer {
    return new Serializer(format, 0, undefined);
  }

  /** The core layer's: a token that is older than a message can be, and 10 s, is refused. */
  static forCore(format: ChannelsFormat, expiryMs: number): Serializer {
    return new Serializer(format, format.randomPrefixLength ?? RANDOM, expiryMs / 1000 + 10);
  }

  /** @throws LayerError INVALID_MESSAGE where the serializer cannot carry it */
  write(message: DjangoMessage): Buffer {
    const written = this.#notation.write(message);
    const sealed = this.#crypter === undefined ? written : this.#crypter.encrypt(written);
    return this.#random === 0 ? sealed : Buffer.concat([randomBytes(this.#random), sealed]);
  }

  /** @throws Error where it is no message of Django's, written like this */
  read(bytes: Buffer): DjangoMessage {
    const sealed = bytes.subarray(this.#random);
    const message = this.#notation.read(this.#crypter === undefined ? sealed : this.#crypter.decrypt(sealed));
    if (!isMessage(message)) throw new Error('no map');
    return message;
  }
}
